#!/usr/bin/env python3
"""Writes the files of this folder: each has one error, which its name describes.

    python3 tests/malformed/generate.py

Only the standard library is used, and the bytes are always the same. The messages that the files
must give stand in `expected.tsv`, which `tests/malformed.rs` compares.
"""

import hashlib
import json
import math
import shutil
import struct
import zlib
from pathlib import Path

HERE = Path(__file__).parent


def write(name, content):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_all(folder, extension, files):
    for name, content in files.items():
        write(f"{folder}/{name}.{extension}", content)


def gzip(content):
    """One gzip member. Its blocks are stored, so that the bytes do not depend on the release of zlib."""
    packer = zlib.compressobj(0, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    return GZIP_START + packed + struct.pack("<II", zlib.crc32(content), len(content))


# Magic, method, flags, time, extra flags, operating system (unknown).
GZIP_START = b"\x1f\x8b\x08\x00" + b"\0" * 5 + b"\xff"


def patched(content, place, new):
    """The content with the bytes at `place` (from the end if negative) replaced."""
    place %= len(content)
    return content[:place] + new + content[place + len(new) :]


# Tables


ROWS_CSV = b"text,label\ngood film,1\nbad film,0\n"


def csv():
    write_all(
        "csv",
        "csv",
        {
            "empty": "",
            "blank_lines_only": "\n\n\n",
            "byte_order_mark_only": "\ufeff",
            "header_only": "text,label\n",
            "header_missing": "good film,1\nbad film,0\n",
            "column_text_missing": "id,label\n1,0\n2,1\n",
            "column_label_missing": "id,text\n1,good\n2,bad\n",
            "column_text_twice": "text,label,text\ngood,1,bad\nbad,0,good\n",
            "column_label_twice": "label,text,label\n1,good,0\n0,bad,1\n",
            "field_missing": "text,label\ngood,1\nbad\n",
            "comma_not_quoted": "text,label\ngood, really,1\nbad,0\n",
            "row_cut_off": "id,text,label\n1,good,1\n2,ba",
            "quote_never_closed": 'label,text\n1,good\n0,"bad\n1,good\n0,bad\n',
            "quote_never_closed_in_the_first_column": 'text,label\ngood,1\n"bad,0\ngood,1\n',
            "quote_never_closed_in_the_header": 'text,"label\ngood,1\nbad,0\n',
            "header_in_one_pair_of_quotes": '"text,label"\ngood\nbad\n',
            "name_of_two_lines_and_no_text": 'words,"label\nof two"\ngood,1\nbad,0\n',
            "text_in_latin_1": b"text,label\ngood caf\xe9,1\nbad,0\n",
            "header_in_latin_1": b"text,label,cat\xe9gorie\ngood,1,a\nbad,0,a\n",
            "label_empty_in_one_row": "text,label\ngood,1\nbad,0\nodd,\n",
            "label_empty_in_all_rows": "text,label\ngood,\nbad,\n",
            "label_the_same_in_all_rows": "text,label\ngood,1\nbad,1\n",
            "zero_bytes": bytes(64),
            "web_page": "<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n",
            "terminal_codes_in_the_header": "\x1b[2J\x1b[31mtext,label\ngood,1\nbad,0\n",
        },
    )


def tsv():
    write_all(
        "tsv",
        "tsv",
        {
            "empty": "",
            "blank_lines_only": "\r\n\r\n",
            "header_only": "label\ttext\n",
            "column_text_missing": "id\tlabel\n1\t0\n",
            "column_label_missing": "id\ttext\n1\tgood\n",
            "column_text_twice": "text\tlabel\ttext\ngood\t1\tbad\nbad\t0\tgood\n",
            "separator_spaces": "label    text\n1    good\n0    bad\n",
            "field_missing": "label\ttext\n1\tgood\n0\n",
            "tab_in_a_text": "label\ttext\n1\tgood\n0\tbad\tfilm\n",
            "quote_never_closed": 'label\ttext\n1\tgood\n0\t"bad film\n',
            "quote_over_rows": 'label\ttext\n1\t"good\n0\tbad\n1\tgood"\n',
            "text_in_latin_1": b"label\ttext\n1\tgood\n0\tna\xefve\n",
            "label_empty_in_one_row": "label\ttext\n1\tgood\n\tbad\n0\tbad\n",
            "label_the_same_in_all_rows": "label\ttext\npos\tgood\npos\tbad\n",
        },
    )


def jsonl():
    good = '{"text": "good", "label": 1}\n'
    bad = '{"text": "bad", "label": 0}\n'
    write_all(
        "jsonl",
        "jsonl",
        {
            "empty": "",
            "blank_lines_only": "\n  \n\n",
            "byte_order_mark_only": "\ufeff",
            "line_not_json": good + "bad film\n",
            "line_cut_off": good + '{"text": "ba',
            "line_a_list": good + '["bad", 0]\n',
            "line_a_string": good + '"bad"\n',
            "line_a_number": good + "0\n",
            "line_null": good + "null\n",
            "two_objects_in_a_line": good + bad.strip() + good,
            "comma_after_the_last_key": good + '{"text": "bad", "label": 0,}\n',
            "comma_after_the_object": good.strip() + ",\n" + bad,
            "comma_missing": good + '{"text": "bad" "label": 0}\n',
            "quotes_single": "{'text': 'good', 'label': 1}\n",
            "key_not_quoted": '{text: "good", label: 1}\n',
            "comment": "// reviews\n" + good + bad,
            "object_over_lines": '{\n  "text": "good",\n  "label": 1\n}\n',
            "object_empty": "{}\n",
            "key_text_missing": '{"id": 1, "label": 1}\n',
            "key_text_missing_in_a_later_row": good + '{"review": "bad", "label": 0}\n',
            "key_label_missing": '{"id": 1, "text": "good"}\n',
            "key_label_missing_in_a_later_row": good + bad + '{"text": "odd"}\n',
            "text_null": good + '{"text": null, "label": 0}\n',
            "text_a_number": good + '{"text": 5, "label": 0}\n',
            "text_true": good + '{"text": true, "label": 0}\n',
            "text_a_list": good + '{"text": ["bad", "film"], "label": 0}\n',
            "text_an_object": good + '{"text": {"en": "bad"}, "label": 0}\n',
            "label_an_empty_list": good + '{"text": "bad", "label": []}\n',
            "label_a_list": good + '{"text": "bad", "label": [0, 1]}\n',
            "label_an_object": good + '{"text": "bad", "label": {"id": 0}}\n',
            "label_a_list_of_lists": good + '{"text": "bad", "label": [[0]]}\n',
            "label_beyond_floats": good + '{"text": "bad", "label": 1e999}\n',
            "label_not_a_number": good + '{"text": "bad", "label": NaN}\n',
            "label_null_in_one_row": good + bad + '{"text": "odd", "label": null}\n',
            "label_the_same_in_all_rows": good + good,
            "escape_unknown": good + '{"text": "bad \\x20 film", "label": 0}\n',
            "control_character_in_a_string": good + '{"text": "bad\tfilm", "label": 0}\n',
            "text_in_latin_1": good.encode() + b'{"text": "na\xefve", "label": 0}\n',
            "nested_too_deep": good + '{"text": ' + "[" * 200 + "]" * 200 + "}\n",
            "zero_bytes": bytes(64),
        },
    )


def fasttext():
    write_all(
        "fasttext",
        "txt",
        {
            "empty": "",
            "blank_lines_only": "\n \n",
            "label_missing_in_all_lines": "good film\nbad film\n",
            "label_missing_in_one_line": "__label__pos good\n\n__label__neg bad\nodd\n",
            "label_without_a_name": "__label__pos good\n__label__neg bad\n__label__ odd\n",
            "label_in_capitals": "__LABEL__pos good\n__LABEL__neg bad\n",
            "labels_two_in_a_line": "__label__pos good\n__label__neg __label__odd bad\n",
            "label_the_same_in_all_lines": "__label__pos good\n__label__pos bad\n",
            "text_in_latin_1": b"__label__pos good\n__label__neg na\xefve\n",
            "label_in_latin_1": b"__label__pos good\n__label__n\xe9gatif bad\n",
            "text_in_utf_16": "\ufeff__label__pos good\n".encode("utf-16-le"),
            "zero_bytes": bytes(64),
        },
    )


def gzipped():
    whole = gzip(ROWS_CSV)
    lines = gzip(b'{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n')
    files = {
        "empty.csv": b"",
        "cut_in_the_header.csv": whole[:6],
        "cut_in_the_data.csv": whole[:-20],
        "cut_before_the_checksum.csv": whole[:-8],
        "cut_in_the_checksum.csv": whole[:-3],
        "cut_in_the_data.jsonl": lines[:40],
        "cut_in_the_second_member.csv": whole + gzip(b"odd film,1\n")[:15],
        "magic_wrong.csv": patched(whole, 0, b"\x1f\x8c"),
        "method_unknown.csv": patched(whole, 2, b"\x07"),
        "flags_reserved.csv": patched(whole, 3, b"\xe0"),
        # The first block's type is 3, which is invalid.
        "block_type_unknown.jsonl": patched(lines, 10, b"\x07"),
        # A stored block's length is followed by its complement.
        "block_length_wrong.csv": patched(whole, 11, b"\xff"),
        "checksum_wrong.csv": patched(whole, -8, b"\0\0\0\0"),
        "checksum_wrong.jsonl": patched(lines, -8, b"\0\0\0\0"),
        "length_wrong.csv": patched(whole, -4, b"\x01\0\0\0"),
        "junk_behind_the_end.csv": whole + b"junk behind the end",
        "nothing_in_it.csv": gzip(b""),
        "nothing_in_it.jsonl": gzip(b""),
        "text_in_latin_1.csv": gzip(b"text,label\ncaf\xe9,1\n"),
        "compressed_twice.csv": gzip(whole),
        "compressed_twice.jsonl": gzip(lines),
        "parquet_cut.parquet": gzip(parquet(TEXTS, LABELS)[:-10]),
        "parquet_checksum_wrong.parquet": patched(gzip(parquet(TEXTS, LABELS)), -8, b"\0\0\0\0"),
    }
    write_all("gzip", "gz", files)


# Parquet: just enough of Thrift's compact protocol for files without compression.


def varint(number):
    encoded = b""
    while number >= 0x80:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def thrift(value):
    """The type's number and the bytes of an integer, a string, a list or a structure (a dict from
    the numbers of its fields)."""
    if isinstance(value, Truths):
        return 9, b"\xf1" + varint(value)
    if isinstance(value, int):
        kind = 5 if isinstance(value, Int32) else 6
        return kind, varint((value << 1 ^ value >> 63) & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return 8, varint(len(value)) + value
    if isinstance(value, list):
        items = [thrift(item) for item in value]
        kind = items[0][0] if items else 12
        return 9, bytes([len(items) << 4 | kind]) + b"".join(item for _, item in items)
    encoded, last = b"", 0
    for number, field in value.items():
        kind, content = thrift(field)
        encoded += bytes([number - last << 4 | kind]) + content
        last = number
    return 12, encoded + b"\0"


class Int32(int):
    """An integer of 32 bits."""


class Truths(int):
    """A list of booleans with this count, but without their bytes."""


INT64, DOUBLE, BYTE_ARRAY = Int32(2), Int32(5), Int32(6)
REQUIRED, OPTIONAL, REPEATED = (Int32(n) for n in range(3))
PLAIN, RLE = Int32(0), Int32(3)


class Column:
    """A column of a Parquet file, and the error to introduce."""

    def __init__(self, name, values, kind=BYTE_ARRAY, **changes):
        self.name = name
        self.values = values
        self.kind = kind
        # Of the page's bytes, the page's header, and the description at the end of the file.
        self.change_page = changes.get("page", lambda page: page)
        self.header = changes.get("header", {})
        self.data_header = changes.get("data_header", {})
        self.chunk = changes.get("chunk", {})

    @property
    def repetition(self):
        return OPTIONAL if None in self.values else REQUIRED

    def schema(self):
        element = {1: self.kind, 3: self.repetition, 4: self.name}
        return element | ({6: Int32(0)} if self.kind == BYTE_ARRAY else {})

    def page(self):
        present = [value for value in self.values if value is not None]
        if self.kind == BYTE_ARRAY:
            data = b"".join(struct.pack("<I", len(v)) + v for v in map(to_bytes, present))
        else:
            letter = {INT64: "q", DOUBLE: "d"}[self.kind]
            data = struct.pack(f"<{len(present)}{letter}", *present)
        if self.repetition == OPTIONAL:
            # Definition levels, bit-packed in one run of eight.
            bits = sum((value is not None) << place for place, value in enumerate(self.values))
            data = struct.pack("<I", 2) + bytes([1 << 1 | 1, bits]) + data
        data = self.change_page(data)
        size = Int32(len(data))
        levels = {1: Int32(len(self.values)), 2: PLAIN, 3: RLE, 4: RLE} | self.data_header
        header = {1: Int32(0), 2: size, 3: size, 5: levels} | self.header
        return thrift(header)[1] + data


def to_bytes(value):
    return value.encode() if isinstance(value, str) else value


def parquet(*columns, schema=None, rows=None, metadata=None, groups=True, further={}):
    """A Parquet file of these columns. `schema` replaces what the file says of them, `further`
    comes after all that it says."""
    content, chunks = b"PAR1", []
    rows = len(columns[0].values) if rows is None else rows
    for column in columns:
        page = column.page()
        description = {
            1: column.kind,
            2: [PLAIN],
            3: [column.name],
            4: Int32(0),
            5: len(column.values),
            6: len(page),
            7: len(page),
            9: len(content),
        } | column.chunk
        chunks.append({2: len(content), 3: description})
        content += page
    group = {1: chunks, 2: len(content), 3: rows}
    elements = [column.schema() for column in columns] if schema is None else schema
    root = {4: "rows", 5: Int32(len(columns))}
    description = {1: Int32(1), 2: [root] + elements, 3: rows, 4: [group] if groups else []}
    if metadata is not None:
        description[5] = [{1: "huggingface", 2: json.dumps(metadata)}]
    footer = thrift(description | further)[1]
    return content + footer + struct.pack("<I", len(footer)) + b"PAR1"


TEXTS = Column("text", ["good", "bad", "odd"])
LABELS = Column("label", [1, 0, 1], INT64)


def parquets():
    good = parquet(TEXTS, LABELS)
    footer_length = struct.unpack("<I", good[-8:-4])[0]
    footer = len(good) - 8 - footer_length

    def texts(**changes):
        return parquet(Column("text", ["good", "bad", "odd"], **changes), LABELS)

    def of(text, label=LABELS):
        return parquet(text, label)

    # An optional group `review` with a string in it, and a list of strings.
    group = [{3: OPTIONAL, 4: "text", 5: Int32(1)}, TEXTS.schema() | {4: "en"}, LABELS.schema()]
    listed = [TEXTS.schema() | {3: REPEATED}, LABELS.schema()]
    classes = {"info": {"features": {"label": {"names": ["negative", "positive"]}}}}
    write_all(
        "parquet",
        "parquet",
        {
            "empty": b"",
            "magic_only": b"PAR1",
            "magic_twice_only": b"PAR1PAR1",
            "not_parquet": ROWS_CSV,
            "cut_in_half": good[: len(good) // 2],
            "cut_by_one_byte": good[:-1],
            "start_lost": good[20:],
            "magic_wrong_at_the_end": patched(good, -4, b"PAR2"),
            "encrypted": patched(good, -4, b"PARE"),
            "footer_length_zero": patched(good, -8, b"\0\0\0\0"),
            "footer_length_one_less": patched(good, -8, struct.pack("<I", footer_length - 1)),
            "footer_length_beyond_the_file": patched(good, -8, b"\0\0\0\x10"),
            "footer_length_negative": patched(good, -8, b"\xff\xff\xff\xff"),
            "footer_zeros": patched(good, footer, bytes(footer_length)),
            "footer_noise": patched(good, footer, b"\xa5" * footer_length),
            "footer_with_truth_values_without_end": parquet(
                TEXTS, LABELS, further={10: Truths(2**31 - 1)}
            ),
            "schema_with_a_child_too_few": patched(good, good.index(b"rows\x15") + 5, b"\x02"),
            "schema_with_a_child_too_many": patched(good, good.index(b"rows\x15") + 5, b"\x06"),
            "column_text_missing": of(Column("quote", ["good", "bad", "odd"])),
            "column_label_missing": of(TEXTS, Column("stars", [1, 0, 1], INT64)),
            "column_text_twice": parquet(TEXTS, LABELS, Column("text", ["a", "b", "c"])),
            "column_text_of_integers": of(Column("text", [1, 2, 3], INT64)),
            "column_text_of_fractions": of(Column("text", [1.0, 0.0, 0.5], DOUBLE)),
            "column_text_in_a_group": parquet(TEXTS, LABELS, schema=group),
            "column_text_of_lists": parquet(TEXTS, LABELS, schema=listed),
            "text_null": of(Column("text", ["good", None, "odd"])),
            "text_in_latin_1": of(Column("text", ["good", b"na\xefve", "odd"])),
            "label_null": of(TEXTS, Column("label", [1, None, 0], INT64)),
            "label_in_latin_1": of(TEXTS, Column("label", ["pos", b"n\xe9g", "pos"])),
            "label_beyond_the_class_names": parquet(
                TEXTS, Column("label", [1, 2, 0], INT64), metadata=classes
            ),
            "label_the_same_in_all_rows": of(TEXTS, Column("label", [1, 1, 1], INT64)),
            "rows_none": of(Column("text", []), Column("label", [], INT64)),
            "row_groups_none": parquet(TEXTS, LABELS, groups=False),
            "columns_of_different_lengths": of(TEXTS, Column("label", [1, 0], INT64)),
            "rows_fewer_than_declared": parquet(TEXTS, LABELS, rows=4),
            "rows_more_than_declared": parquet(TEXTS, LABELS, rows=2),
            "rows_negative": parquet(TEXTS, LABELS, rows=-3),
            "page_header_noise": patched(good, 4, b"\xff" * 8),
            "page_beyond_the_file": texts(header={2: Int32(9999), 3: Int32(9999)}),
            "page_of_negative_size": texts(header={2: Int32(-1), 3: Int32(-1)}),
            "page_of_a_gigabyte_unpacked": texts(header={2: Int32(1 << 30)}, chunk={4: Int32(1)}),
            "page_of_unknown_type": texts(header={1: Int32(77)}),
            "page_with_fewer_values_than_declared": texts(data_header={1: Int32(9)}),
            "page_of_negative_count": texts(data_header={1: Int32(-3)}),
            "page_of_unknown_encoding": texts(data_header={2: Int32(77)}),
            "page_of_numbers_of_no_dictionary": texts(data_header={2: Int32(8)}),
            "page_of_more_lengths_than_values": texts(
                data_header={2: Int32(6)}, page=lambda p: varint(128) + b"\4" + varint(1 << 28) + p
            ),
            "page_header_with_truth_values_without_end": texts(header={9: Truths(2**31 - 1)}),
            "dictionary_of_more_entries_than_bytes": texts(
                header={1: Int32(2), 7: {1: Int32(1 << 28), 2: PLAIN}}
            ),
            "text_longer_than_its_page": texts(page=lambda p: patched(p, 0, b"\xff\0\0\0")),
            "text_of_negative_length": texts(page=lambda p: patched(p, 0, b"\xff\xff\xff\xff")),
            "column_beyond_the_file": texts(chunk={9: 1 << 40}),
            "column_at_a_negative_offset": texts(chunk={9: -5}),
            "column_of_negative_size": texts(chunk={7: -5}),
            "codec_unknown": texts(chunk={4: Int32(99)}),
            "codec_snappy_of_plain_bytes": texts(chunk={4: Int32(1)}),
            "codec_gzip_of_plain_bytes": texts(chunk={4: Int32(2)}),
        },
    )


# Configs


def configs():
    write_all(
        "config",
        "toml",
        {
            "value_missing": "seed =\n",
            "equals_sign_missing": "[model]\nnum_hiddens 32\n",
            "section_not_closed": "[model\nnum_hiddens = 32\n",
            "string_not_closed": '[data]\nsource = "imdb\n',
            "string_not_quoted": "[data]\nsource = imdb\n",
            "list_not_closed": '[model]\npooling = ["mean"\nbias = true\n',
            "key_twice": "[train]\nepochs = 3\nepochs = 4\n",
            "section_twice": "[train]\nepochs = 3\n[train]\npatience = 1\n",
            "escape_unknown": '[data]\nsource = "C:\\data"\n',
            "number_with_leading_zero": "[train]\nbatch_size = 064\n",
            "yaml": "model:\n  num_hiddens: 32\n",
            "json": '{"model": {"num_hiddens": 32}}\n',
            "zero_bytes": bytes(16),
            "key_misspelt": "[model]\nnum_hidden = 32\n",
            "key_of_another_section": "[model]\nepochs = 3\n",
            "key_without_its_section": "epochs = 3\n",
            "key_unlike_any": "[train]\nxyzzy = 1\n",
            "key_of_the_ngrams_misspelt": "[model.ngrams]\nordr = 2\n",
            "section_misspelt": "[trian]\nepochs = 3\n",
            "section_a_number": "model = 5\n",
            "section_a_list": "[[train]]\nepochs = 3\n",
            "section_an_empty_list": "train = []\n",
            "ngrams_a_number": "[model]\nngrams = 2\n",
            "seed_negative": "seed = -1\n",
            "seed_a_string": 'seed = "7"\n',
            "seed_a_date": "seed = 2024-01-01\n",
            "num_hiddens_a_string": '[model]\nnum_hiddens = "many"\n',
            "num_hiddens_a_fraction": "[model]\nnum_hiddens = 32.5\n",
            "num_hiddens_zero": "[model]\nnum_hiddens = 0\n",
            "num_hiddens_too_many": "[model]\nnum_hiddens = 1000000\n",
            "num_layers_too_many": "[model]\nnum_layers = 65\n",
            "embedding_size_zero": "[model]\nembedding_size = 0\n",
            "bidirectional_a_number": "[model]\nbidirectional = 1\n",
            "cell_unknown": '[model]\ncell = "transformer"\n',
            "pooling_unknown": '[model]\npooling = ["mean", "median"]\n',
            "pooling_a_string": '[model]\npooling = "mean"\n',
            "pooling_empty": "[model]\npooling = []\n",
            "dropout_one": "[model]\ndropout = 1.0\n",
            "dropout_negative": "[model]\nembedding_dropout = -0.1\n",
            "dropout_not_a_number": "[model]\nencoder_dropout = nan\n",
            "ngram_order_too_high": "[model.ngrams]\norder = 9\n",
            "ngram_features_zero": "[model.ngrams]\norder = 2\nfeatures = 0\n",
            "tokenizer_unknown": '[text]\ntokenizer = "words"\n',
            "vocabulary_size_too_small": "[text]\nvocabulary_size = 2\n",
            "vocabulary_size_too_large": "[text]\nvocabulary_size = 100000000\n",
            "truncate_unknown": '[text]\ntruncate = "left"\n',
            "max_tokens_negative": "[text]\nmax_tokens = -1\n",
            "lowercase_a_string": '[text]\nlowercase = "yes"\n',
            "epochs_zero": "[train]\nepochs = 0\n",
            "batch_size_zero": "[train]\nbatch_size = 0\n",
            "accumulate_zero": "[train]\naccumulate = 0\n",
            "learning_rate_zero": "[train]\nlearning_rate = 0.0\n",
            "learning_rate_infinite": "[train]\nlearning_rate = inf\n",
            "schedule_unknown": '[train]\nschedule = "step"\n',
            "warmup_one": "[train]\nwarmup = 1.0\n",
            "beta_one": "[train]\nbeta2 = 1.0\n",
            "epsilon_zero": "[train]\nepsilon = 0.0\n",
            "weight_decay_negative": "[train]\nweight_decay = -0.01\n",
            "clip_norm_not_a_number": "[train]\nclip_norm = nan\n",
            "label_smoothing_negative": "[train]\nlabel_smoothing = -0.1\n",
            "log_every_zero": "[train]\nlog_every = 0\n",
            "teachers_a_string": '[train]\nteachers = "runs/a"\n',
            "vectors_a_number": "[train]\nvectors = 300\n",
            "validation_fraction_one": "[data]\nvalidation_fraction = 1.0\n",
            "label_names_of_numbers": "[data]\nlabel_names = [0, 1]\n",
            "source_a_list": '[data]\nsource = ["a", "b"]\n',
            "vectors_read_and_learnt": '[train]\nvectors = "glove.txt"\nvector_epochs = 3\n',
            "teachers_without_texts_to_teach": '[train]\nteachers = ["runs/a"]\n',
            "label_names_twice": '[data]\nlabel_names = ["pos", "pos"]\n',
            "label_names_one": '[data]\nlabel_names = ["pos"]\n',
            "label_names_empty": "[data]\nlabel_names = []\n",
        },
    )


# Models: `good` holds an intact one, and each bad file replaces one of its files.


VOCABULARY = ["<pad>", "<unk>", "good", "bad", "film", "the"]
CONFIG = {
    "format_version": 1,
    "model": {
        "cell": "gru",
        "embedding_size": 2,
        "num_hiddens": 2,
        "num_layers": 1,
        "bidirectional": True,
        "pooling": ["mean"],
    },
    "text": {"max_tokens": 50, "truncate": "head"},
    "labels": ["negative", "positive"],
}


def to_json(value):
    return json.dumps(value, indent=1) + "\n"


def tokenizer_json(**changes):
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": word_level({token: number for number, token in enumerate(VOCABULARY)}),
    }
    return to_json(whole | changes)


def word_level(vocabulary, **changes):
    return {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"} | changes


def bpe(merges, **changes):
    vocabulary = {"<unk>": 0, "g": 1, "o": 2, "go": 3, "d": 4}
    return {"type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": "<unk>"} | changes


def floats(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


def good_tensors():
    """The tensors of the good model: names to types, shapes and bytes."""
    shapes = {"decoder.bias": [2], "decoder.weight": [2, 4], "embedding.weight": [6, 2]}
    for suffix in ["", "_reverse"]:
        shapes |= {
            f"encoder.bias_hh_l0{suffix}": [6],
            f"encoder.bias_ih_l0{suffix}": [6],
            f"encoder.weight_hh_l0{suffix}": [6, 2],
            f"encoder.weight_ih_l0{suffix}": [6, 2],
        }
    tensors = {}
    for name, shape in sorted(shapes.items()):
        numbers = [(place % 5 - 2) / 8 for place in range(math.prod(shape))]
        tensors[name] = ("F32", shape, floats(*numbers))
    return tensors


def safetensors(tensors, change=lambda header: None):
    """A safetensors file; `change` does something to its header."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    change(header)
    return with_header(json.dumps(header).encode(), data)


def with_header(header, data):
    return struct.pack("<Q", len(header)) + header + data


def tokenizers():
    good = tokenizer_json()
    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}

    def model(value):
        return tokenizer_json(model=value)

    def vocab(entries):
        return model(word_level({"<unk>": 0} | entries))

    def added(**changes):
        token = {
            "id": 6,
            "content": "[CLS]",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        return tokenizer_json(added_tokens=[token | changes])

    def split(pattern):
        stage = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
        return tokenizer_json(pre_tokenizer=stage | {"invert": False})

    def charsmap(base_64):
        return tokenizer_json(normalizer={"type": "Precompiled", "precompiled_charsmap": base_64})

    write_all(
        "tokenizer",
        "json",
        {
            "empty": "",
            "blank": " \n",
            "not_json": "good bad film\n",
            "zero_bytes": bytes(64),
            "cut_off": good[: len(good) // 2],
            "cut_by_one_brace": good.rstrip()[:-1],
            "junk_behind_the_end": good + "}",
            "byte_order_mark": "\ufeff" + good,
            "latin_1": good.encode().replace(b"film", b"caf\xe9"),
            "list": "[]\n",
            "null": "null\n",
            "object_empty": "{}\n",
            "vocabulary_of_bert": "[PAD]\n[UNK]\ngood\nbad\n",
            "tokenizer_config": to_json({"tokenizer_class": "BertTokenizer", "do_lower_case": True}),
            "version_of_the_future": tokenizer_json(version="2.0"),
            "version_a_number": tokenizer_json(version=1),
            "model_null": model(None),
            "model_a_string": model("WordLevel"),
            "model_twice": '{"model": {"vocab": {}}, "model": {"vocab": {}}}',
            "model_of_unknown_type": model(word_level(vocabulary, type="Word2Vec")),
            "vocabulary_missing": model({"type": "WordLevel", "unk_token": "<unk>"}),
            "vocabulary_empty": model(word_level({})),
            "vocabulary_a_number": model(word_level(6)),
            "vocabulary_a_list_of_words": model(word_level(VOCABULARY)),
            "vocabulary_of_scores_in_word_level": model(word_level([["<unk>", 0.0]])),
            "id_negative": vocab({"good": -1}),
            "id_a_fraction": vocab({"good": 1.5}),
            "id_a_string": vocab({"good": "1"}),
            "id_null": vocab({"good": None}),
            "id_too_large": vocab({"good": 1 << 24}),
            "id_beyond_32_bits": vocab({"good": 1 << 32}),
            "id_twice": vocab({"good": 1, "bad": 1}),
            "word_twice": good.replace('"bad": 3', '"good": 3'),
            "unknown_token_not_named": model({"type": "WordLevel", "vocab": vocabulary}),
            "unknown_token_a_number": model(word_level(vocabulary, unk_token=1)),
            "unknown_token_not_in_the_vocabulary": model(word_level({"good": 0, "bad": 1})),
            "word_piece_unknown_token_not_in_the_vocabulary": model(
                {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"good": 0}}
            ),
            "word_piece_length_negative": model(
                word_level(vocabulary, type="WordPiece", max_input_chars_per_word=-1)
            ),
            "merges_missing": model({"type": "BPE", "vocab": {"a": 0}}),
            "merge_of_an_unknown_piece": model(bpe([["g", "x"]])),
            "merge_without_its_result": model(bpe([["o", "d"]])),
            "merge_of_three_pieces": model(bpe([["g", "o"], ["g", "o", "d"]])),
            "merge_of_three_pieces_in_a_line": model(bpe(["g o", "g o d"])),
            "merge_of_one_piece": model(bpe(["go"])),
            "merge_a_number": model(bpe([7])),
            "merge_without_its_prefix": model(
                bpe([["g", "o"]], continuing_subword_prefix="##")
            ),
            "unigram_vocabulary_of_ids": model({"type": "Unigram", "unk_id": 0, "vocab": {"u": 0}}),
            "unigram_vocabulary_empty": model({"type": "Unigram", "unk_id": 0, "vocab": []}),
            "unigram_unknown_token_out_of_range": model(
                {"type": "Unigram", "unk_id": 7, "vocab": [["<unk>", 0.0]]}
            ),
            "unigram_unknown_token_not_named": model({"type": "Unigram", "vocab": [["a", 0.0]]}),
            "unigram_score_a_string": model(
                {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", "0"]]}
            ),
            "normalizer_of_unknown_type": tokenizer_json(normalizer={"type": "Upside"}),
            "normalizer_a_string": tokenizer_json(normalizer="NFC"),
            "normalizer_charsmap_not_base_64": charsmap("!"),
            "normalizer_charsmap_too_short": charsmap("AAAA"),
            "normalizer_charsmap_of_zeros": charsmap("AAAAAA=="),
            "pre_tokenizer_of_unknown_type": tokenizer_json(pre_tokenizer={"type": "Slicer"}),
            "pre_tokenizer_a_list": tokenizer_json(pre_tokenizer=[]),
            "pre_tokenizer_of_length_zero": tokenizer_json(
                pre_tokenizer={"type": "FixedLength", "length": 0}
            ),
            "regex_not_closed": split("(good"),
            "regex_too_long": split("a" * 17_000),
            "regex_of_too_many_repetitions": split("(?:(?:(?=a){999}){999}){999}"),
            "decoder_of_unknown_type": tokenizer_json(decoder={"type": "Enigma"}),
            "added_token_without_content": tokenizer_json(added_tokens=[{"id": 6}]),
            "added_token_of_no_letters": added(content=""),
            "added_token_with_a_negative_id": added(id=-1),
            "added_token_with_a_gap_before_its_id": added(id=9),
            "added_token_with_the_id_of_another": added(id=3),
            "added_token_with_an_id_too_large": added(id=(1 << 32) - 1),
            "nested_too_deep": '{"normalizer": ' + "[" * 200,
        },
    )


def model_configs():
    good = to_json(CONFIG)

    def changed(**changes):
        return to_json(CONFIG | changes)

    def model(**changes):
        return changed(model=CONFIG["model"] | changes)

    def without(key):
        return to_json({name: value for name, value in CONFIG.items() if name != key})

    write_all(
        "model_config",
        "json",
        {
            "empty": "",
            "zero_bytes": bytes(32),
            "not_json": "cell = lstm\n",
            "cut_off": good[: len(good) // 2],
            "junk_behind_the_end": good + "}",
            "latin_1": good.encode().replace(b"negative", b"n\xe9gatif"),
            "list": "[]\n",
            "null": "null\n",
            "object_empty": "{}\n",
            "format_version_of_the_future": changed(format_version=2),
            "format_version_zero": changed(format_version=0),
            "format_version_negative": changed(format_version=-1),
            "format_version_a_string": changed(format_version="1"),
            "key_unknown": changed(classes=["a", "b"]),
            "key_unknown_in_the_model": model(hidden_size=2),
            "key_unknown_in_the_texts": changed(text={"max_length": 50}),
            "labels_missing": without("labels"),
            "labels_a_string": changed(labels="negative, positive"),
            "labels_of_numbers": changed(labels=[0, 1]),
            "labels_one": changed(labels=["positive"]),
            "labels_none": changed(labels=[]),
            "labels_twice": changed(labels=["positive", "positive"]),
            "labels_three_for_weights_of_two": changed(labels=["a", "b", "c"]),
            "temperature_zero": changed(temperature=0),
            "temperature_negative": changed(temperature=-1.5),
            "temperature_beyond_floats": good.replace('"labels"', '"temperature": 1e999, "labels"'),
            "model_a_list": changed(model=[]),
            "texts_a_list": changed(text=[50, "head"]),
            "ngrams_a_list": model(ngrams=[2, 3]),
            "cell_unknown": model(cell="transformer"),
            "cell_of_other_weights": model(cell="lstm"),
            "embedding_size_zero": model(embedding_size=0),
            "embedding_size_negative": model(embedding_size=-2),
            "embedding_size_of_other_weights": model(embedding_size=3),
            "num_hiddens_a_fraction": model(num_hiddens=2.5),
            "num_hiddens_too_many": model(num_hiddens=1 << 40),
            "num_hiddens_beyond_64_bits": model(num_hiddens=1 << 70),
            "num_hiddens_of_other_weights": model(num_hiddens=3),
            "num_layers_too_many": model(num_layers=65),
            "num_layers_of_other_weights": model(num_layers=2),
            "bidirectional_a_string": model(bidirectional="yes"),
            "bidirectional_of_other_weights": model(bidirectional=False),
            "bias_of_other_weights": model(bias=False),
            "pooling_unknown": model(pooling=["median"]),
            "pooling_empty": model(pooling=[]),
            "pooling_of_other_weights": model(pooling=["mean", "max"]),
            "dropout_one": model(dropout=1.0),
            "ngrams_without_their_weights": model(ngrams={"order": 2, "features": 3}),
            "ngram_order_too_high": model(ngrams={"order": 9, "features": 3}),
            "max_tokens_negative": changed(text={"max_tokens": -1}),
            "truncate_unknown": changed(text={"truncate": "left"}),
        },
    )


def model_tokenizers():
    more = {token: number for number, token in enumerate(VOCABULARY + ["story"])}
    write("model_tokenizer/more_words_than_embeddings.json", tokenizer_json(model=word_level(more)))
    gap = {"<unk>": 0, "good": 1, "bad": 60}
    write("model_tokenizer/id_beyond_the_embeddings.json", tokenizer_json(model=word_level(gap)))
    write("model_tokenizer/cut_off.json", tokenizer_json()[:200])


def weights():
    good = good_tensors()
    whole = safetensors(good)
    header_length = struct.unpack("<Q", whole[:8])[0]
    header, data = whole[8 : 8 + header_length], whole[8 + header_length :]

    def tensors(name, tensor):
        return safetensors(good | {name: tensor})

    def described(change):
        return safetensors(good, change)

    def temperature(text):
        return described(lambda header: header.update({"__metadata__": {"temperature": text}}))

    def embedding(numbers, rows=6):
        return tensors("embedding.weight", ("F32", [rows, 2], floats(*numbers)))

    def without(name):
        return safetensors({key: tensor for key, tensor in good.items() if key != name})

    def set_offsets(name, start, end):
        def change(header):
            header[name]["data_offsets"] = [start, end]

        return described(change)

    def set_field(name, field, value):
        return described(lambda header: header[name].update({field: value}))

    def halves(bits):
        return struct.pack("<12H", *([0x3C00] * 11), bits)

    write_all(
        "weights",
        "safetensors",
        {
            "empty": b"",
            "cut_in_the_header_length": whole[:5],
            "cut_before_the_header": whole[:8],
            "cut_in_the_header": whole[:200],
            "cut_before_the_data": whole[: 8 + header_length],
            "cut_in_the_data": whole[:-100],
            "cut_by_one_byte": whole[:-1],
            "one_byte_too_many": whole + b"\0",
            "zero_bytes": bytes(64),
            "pickle_of_pytorch": b"PK\x03\x04" + bytes(60),
            "git_lfs_pointer": "version https://git-lfs.github.com/spec/v1\n"
            "oid sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\n"
            "size 1234\n",
            "header_length_zero": patched(whole, 0, bytes(8)),
            "header_length_huge": patched(whole, 0, b"\xff" * 8),
            "header_length_beyond_the_file": patched(whole, 0, struct.pack("<Q", len(whole))),
            "header_length_one_less": patched(whole, 0, struct.pack("<Q", header_length - 1)),
            "header_not_json": with_header(b"tensors: embedding.weight", data),
            "header_a_list": with_header(b"[]", data),
            "header_not_utf_8": with_header(header.replace(b"decoder", b"d\xe9coder"), data),
            "header_empty_object": with_header(b"{}", b""),
            "header_of_a_tensor_without_shape": described(lambda h: h["decoder.bias"].pop("shape")),
            "header_with_a_tensor_twice": with_header(
                header.replace(b"decoder.weight", b"decoder.bias", 1), data
            ),
            "metadata_not_strings": described(lambda h: h.update({"__metadata__": {"epoch": 3}})),
            "temperature_a_word": temperature("warm"),
            "temperature_zero": temperature("0"),
            "temperature_not_finite": temperature("inf"),
            "type_unknown": set_field("decoder.bias", "dtype", "F99"),
            "type_of_other_size": set_field("decoder.bias", "dtype", "F64"),
            "type_of_integers": tensors("decoder.bias", ("I64", [2], struct.pack("<2q", 1, 2))),
            "type_boolean": tensors("decoder.bias", ("BOOL", [2], b"\1\0")),
            "type_complex": tensors("decoder.bias", ("C64", [2], floats(0, 1, 2, 3))),
            "shape_larger_than_its_data": set_field("embedding.weight", "shape", [7, 2]),
            "shape_negative": set_field("embedding.weight", "shape", [-6, -2]),
            "shape_beyond_64_bits": set_field("embedding.weight", "shape", [1 << 40, 1 << 40]),
            "shape_turned": set_field("decoder.weight", "shape", [4, 2]),
            "shape_flat": set_field("embedding.weight", "shape", [12]),
            "shape_of_three_numbers": set_field("embedding.weight", "shape", [6, 2, 1]),
            "offsets_overlapping": set_offsets("decoder.weight", 0, 32),
            "offsets_with_a_hole": described(
                lambda h: [
                    t.update({"data_offsets": [at + 4 for at in t["data_offsets"]]})
                    for name, t in h.items()
                    if name != "decoder.bias"
                ]
            ),
            "offsets_beyond_the_file": set_offsets("embedding.weight", 1 << 40, (1 << 40) + 48),
            "offsets_backwards": set_offsets("decoder.weight", 40, 8),
            "offsets_negative": set_offsets("decoder.bias", -8, 0),
            "tensor_missing": without("decoder.bias"),
            "tensor_of_the_encoder_missing": without("encoder.weight_hh_l0_reverse"),
            "embedding_missing": without("embedding.weight"),
            "tensor_too_many": tensors("decoder.scale", ("F32", [1], floats(1))),
            "tensor_of_a_second_layer": tensors(
                "encoder.weight_ih_l1", ("F32", [6, 4], floats(*[0.5] * 24))
            ),
            "tensor_of_another_size": tensors("encoder.bias_ih_l0", ("F32", [8], floats(*range(8)))),
            "tensors_with_a_prefix": safetensors({f"net.{name}": t for name, t in good.items()}),
            "not_a_number": tensors("decoder.bias", ("F32", [2], floats(0, math.nan))),
            "infinity": tensors("decoder.bias", ("F32", [2], floats(-math.inf, 0))),
            "not_a_number_in_the_embedding": embedding([0] * 11 + [math.nan]),
            "infinity_in_half_precision": tensors("embedding.weight", ("F16", [6, 2], halves(0x7C00))),
            "not_a_number_in_brain_floats": tensors(
                "embedding.weight", ("BF16", [6, 2], halves(0x7FC0))
            ),
            "double_beyond_single_precision": tensors(
                "decoder.bias", ("F64", [2], struct.pack("<2d", 1e300, 0))
            ),
            "embedding_with_too_few_rows": embedding([0.5] * 10, rows=5),
            "embedding_without_rows": embedding([], rows=0),
        },
    )
    return whole


def ngrams():
    """Models with an n-gram head, whose intact files are in `good_ngrams`."""
    config = CONFIG | {"model": CONFIG["model"] | {"ngrams": {"order": 2, "features": 3}}}
    write("good_ngrams/config.json", to_json(config))
    write("good_ngrams/tokenizer.json", tokenizer_json())

    def branch(keys, rows=3):
        scores = floats(*[0.25] * 2 * rows)
        return safetensors(
            good_tensors()
            | {
                "ngrams.keys": ("F32", [len(keys) // 2, 2], floats(*keys)),
                "ngrams.weight": ("F32", [rows, 2], scores),
            }
        )

    write("good_ngrams/model.safetensors", branch([0, 5, 1, 0, 1, 7]))
    write_all(
        "ngrams",
        "safetensors",
        {
            "keys_not_in_order": branch([1, 0, 0, 5, 1, 7]),
            "key_a_fraction": branch([0, 5.5, 1, 0, 1, 7]),
            "key_negative": branch([-1, 5, 1, 0, 1, 7]),
            "key_beyond_24_bits": branch([0, 5, 1, 0, 1, 1 << 24]),
            "key_not_a_number": branch([0, 5, 1, 0, 1, math.nan]),
            "keys_fewer_than_features": branch([0, 5, 1, 0]),
            "scores_fewer_than_features": branch([0, 5, 1, 0, 1, 7], rows=2),
            "branch_missing": safetensors(good_tensors()),
        },
    )


# Word vectors


# Language models: `good_language` holds an intact one.


LANGUAGE = {
    "format_version": 1,
    "language": {
        "cell": "gru",
        "input": "embedding",
        "embedding_size": 2,
        "num_hiddens": 2,
        "bidirectional": True,
        "tied": True,
    },
}


def languages():
    tensors = good_tensors()
    del tensors["decoder.weight"]
    tensors["decoder.bias"] = ("F32", [6], floats(*range(6)))

    def changed(**changes):
        return to_json(LANGUAGE | changes)

    def language(**changes):
        return changed(language=LANGUAGE["language"] | changes)

    def replaced(**others):
        return safetensors(tensors | others)

    write("good_language/config.json", to_json(LANGUAGE))
    write("good_language/tokenizer.json", tokenizer_json())
    write("good_language/model.safetensors", safetensors(tensors))
    write_all(
        "language_config",
        "json",
        {
            "empty": "",
            "list": "[]\n",
            "a_classifier": to_json(CONFIG),
            "format_version_missing": to_json({"language": LANGUAGE["language"]}),
            "format_version_of_the_future": changed(format_version=2),
            "language_missing": to_json({"format_version": 1}),
            "language_a_list": changed(language=["gru"]),
            "unknown_key": changed(labels_of="words"),
            "unknown_key_within": language(hiddens=2),
            "cell_unknown": language(cell="qrnn"),
            "num_hiddens_zero": language(num_hiddens=0),
            "num_hiddens_of_another_model": language(num_hiddens=3, tied=False),
            "two_layers_in_two_directions": language(num_layers=2),
            "tied_to_one_hot_input": language(input="one-hot"),
            "tied_to_another_size": language(num_hiddens=3),
            "dropout_of_one": language(dropout=1.0),
        },
    )
    write_all(
        "language_weights",
        "safetensors",
        {
            "empty": b"",
            "cut_off": safetensors(tensors)[:-4],
            "bias_missing": safetensors({n: t for n, t in tensors.items() if n != "decoder.bias"}),
            "bias_of_another_vocabulary": replaced(**{"decoder.bias": ("F32", [5], floats(*range(5)))}),
            "bias_not_finite": replaced(
                **{"decoder.bias": ("F32", [6], floats(0, 1, 2, float("nan"), 4, 5))}
            ),
            "of_a_classifier": safetensors(good_tensors()),
        },
    )


def fasttext_model():
    """A model of fastText up to the end of its input matrix: two words of three numbers, without n-grams."""
    settings = [3, 5, 5, 1, 5, 1, 2, 2, 0, 0, 0, 100]
    sizes = struct.pack("<3iqq", 2, 2, 0, 9, -1)
    words = b"".join(word + b"\0" + struct.pack("<qb", 4, 0) for word in [b"good", b"bad"])
    matrix = struct.pack("<bqq", 0, 2, 3) + floats(0.1, -3.7, 1e-9) * 2
    return struct.pack("<2i12id", 793712314, 12, *settings, 1e-4) + sizes + words + matrix


def vectors():
    text = "2 3\ngood 0.5 0.25 1\nbad -0.5 0.25 1\n"
    packed = gzip(text.encode())
    # word2vec's own format: a word, a space and the numbers as bytes.
    binary = b"2 3\n" + b"".join(
        word + b" " + floats(0.1, -3.7, 1e-9) + b"\n" for word in [b"good", b"bad"]
    )
    model = fasttext_model()
    rows = len(model) - 4 * 3 * 2
    write_all(
        "vectors",
        "vec",
        {
            "empty": "",
            "blank_lines_only": "\n \n",
            "first_line_only": "2 3\n",
            "first_line_says_no_numbers": "2 0\ngood\nbad\n",
            "first_line_says_more_words": "3 3\ngood 1 2 3\nbad 1 2 3\n",
            "first_line_says_more_numbers": "2 4\ngood 1 2 3\nbad 1 2 3\n",
            "first_line_says_fewer_numbers": "2 2\ngood 1 2 3\nbad 1 2 3\n",
            "first_line_negative": "-2 3\ngood 1 2 3\nbad 1 2 3\n",
            "first_line_a_column_header": "word x y z\ngood 1 2 3\nbad 1 2 3\n",
            "number_missing": "good 1 2 3\nbad 1 2\n",
            "number_too_many": "good 0.1 0.2 0.3\nbad 0.1 0.2 0.3 0.4\n",
            "line_cut_off": "good 1 2 3\nbad 1 2",
            "word_alone": "good 1 2 3\nbad\n",
            "word_missing": "good 1 2 3\n 1 2 3\n1 2 3\n",
            "number_a_word": "good 1 2 3\nbad 1 two 3\n",
            "number_with_a_comma": "good 0,5 0,25 1\nbad 0,5 0,25 1\n",
            "number_not_a_number": "good 1 2 3\nbad 1 NaN 3\n",
            "number_infinite": "good 1 2 3\nbad 1 inf 3\n",
            "number_beyond_single_precision": "good 1 2 3\nbad 1 1e99 3\n",
            "separator_comma": "good,1,2,3\nbad,1,2,3\n",
            "separator_two_spaces": "good  1  2  3\nbad  1  2  3\n",
            "words_in_latin_1": b"good 1 2 3\nna\xefve 1 2 3\n",
            "words_of_another_language": "gut 1 2 3\nschlecht 1 2 3\n",
            "text_in_utf_16": ("\ufeff" + text).encode("utf-16-le"),
            "text_of_a_story": "Once upon a time there was a film.\nIt was good.\n",
            "json": '{"good": [1, 2, 3], "bad": [1, 2, 3]}\n',
            "web_page": "<!DOCTYPE html>\n<html><title>404</title></html>\n",
            "zip_archive": b"PK\x03\x04" + bytes(60),
            "zero_bytes": bytes(64),
            "word2vec_cut": binary[:-6],
            "word2vec_cut_without_line_ends": binary[:4] + binary[4:].replace(b"\n", b"")[:-4],
            "word2vec_first_line_says_more_words": patched(binary, 0, b"9"),
            "word2vec_first_line_says_too_many_numbers": b"2 99999" + binary[3:],
            "word2vec_number_nan": patched(binary, 9, floats(math.nan)),
            "fasttext_cut_in_the_settings": model[:40],
            "fasttext_cut_in_the_matrix": model[:-4],
            "fasttext_of_another_version": patched(model, 4, b"\x63"),
            "fasttext_number_of_words_negative": patched(model, 68, struct.pack("<i", -1)),
            "fasttext_quantised": patched(model, rows - 17, b"\1"),
            "fasttext_pruned": patched(model, 84, bytes(8)),
            "fasttext_matrix_of_more_rows": patched(model, rows - 16, struct.pack("<q", 1 << 40)),
            "fasttext_word_without_end": model[:92] + b"good" * 20_000,
            "fasttext_number_nan": patched(model, rows, floats(math.nan)),
            "model_safetensors": safetensors(good_tensors()),
        },
    )
    write_all(
        "vectors",
        "vec.gz",
        {
            "gzip_cut_in_the_header": packed[:6],
            "gzip_cut_in_the_data": packed[:30],
            "gzip_cut_before_the_checksum": packed[:-8],
            "gzip_checksum_wrong": patched(packed, -8, b"\0\0\0\0"),
            "gzip_method_unknown": patched(packed, 2, b"\x07"),
            "gzip_with_junk_behind_the_end": packed + b"junk behind the end",
            "gzip_of_nothing": gzip(b""),
            "gzip_of_cut_word2vec": gzip(binary[:-6]),
            "gzip_of_gzip": gzip(packed),
            "gzip_of_a_number_too_few": gzip(b"good 1 2 3\nbad 1 2\n"),
        },
    )


# Checkpoints: `good_run` holds a folder to resume from.


def checkpoints():
    state = {
        "format_version": 5,
        "command": "train",
        "config": {},
        "data": {"training texts": "1a", "tokenizer": "2b"},
        "metrics_bytes": 0,
        "progress": {
            "step": 1,
            "batches": 1,
            "epoch": 1,
            "batch_in_epoch": 0,
            "epoch_loss": 0.0,
            "epoch_correct": 0,
            "epoch_texts": 0,
            "seconds": 0.5,
            "best_accuracy": None,
            "best_loss": None,
            "best_epoch": 0,
        },
    }
    good = to_json(state)
    tensors = safetensors({"model.decoder.bias": ("F32", [2], floats(0, 1))})

    def listed(**files):
        lines = {"training.json": good.encode(), "training.safetensors": tensors} | files
        return "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in lines.items())

    folder = "good_run/checkpoints/00000001"
    write(f"{folder}/training.json", good)
    write(f"{folder}/training.safetensors", tensors)
    write(f"{folder}/SHA256SUMS", listed())

    def changed(**changes):
        return to_json(state | changes)

    def progress(**changes):
        return changed(progress=state["progress"] | changes)

    def without(key):
        return to_json({name: value for name, value in state.items() if name != key})

    write_all(
        "training",
        "json",
        {
            "empty": "",
            "not_json": "step = 1\n",
            "cut_off": good[: len(good) // 2],
            "list": "[]\n",
            "format_version_missing": without("format_version"),
            "format_version_of_the_past": changed(format_version=4),
            "format_version_of_the_future": changed(format_version=6),
            "format_version_a_string": changed(format_version="5"),
            "command_missing": without("command"),
            "command_a_number": changed(command=5),
            "command_pretrain": changed(command="pretrain"),
            "config_missing": without("config"),
            "config_with_an_unknown_key": changed(config={"model": {"num_hidden": 2}}),
            "config_out_of_range": changed(config={"train": {"batch_size": 0}}),
            "progress_missing": without("progress"),
            "step_negative": progress(step=-1),
            "step_a_fraction": progress(step=1.5),
            "loss_a_string": progress(epoch_loss="low"),
            "data_of_another_run": changed(data={"training texts": "1a", "tokenizer": "3c", "classes": "4d"}),
            "data_a_number": changed(data=5),
            "metrics_bytes_negative": changed(metrics_bytes=-1),
        },
    )
    write_all(
        "training_tensors",
        "safetensors",
        {
            "empty": b"",
            "cut_off": tensors[:-1],
            "header_not_json": with_header(b"tensors", b""),
            "type_complex": safetensors({"a": ("C64", [1], floats(0, 1))}),
        },
    )
    lines = listed().splitlines(keepends=True)
    write_all(
        "sums",
        "txt",
        {
            "empty": "",
            "hash_of_the_state_wrong": listed(**{"training.json": b"other"}),
            "hash_of_the_tensors_wrong": listed(**{"training.safetensors": b"other"}),
            "line_missing": lines[0],
            "line_too_many": listed(**{"other.json": b"other"}),
            "lines_turned": lines[1] + lines[0],
            "cut_off": listed()[:-10],
            "not_a_list_of_hashes": "all is well\n",
            "zero_bytes": bytes(64),
        },
    )


def main():
    # Remove files that are no longer written.
    for folder in HERE.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    csv()
    tsv()
    jsonl()
    fasttext()
    gzipped()
    parquets()
    configs()
    tokenizers()
    write("good/config.json", to_json(CONFIG))
    write("good/tokenizer.json", tokenizer_json())
    write("good/model.safetensors", weights())
    model_configs()
    model_tokenizers()
    ngrams()
    languages()
    vectors()
    checkpoints()


if __name__ == "__main__":
    main()
