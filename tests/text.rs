//! The text stage from the user's point of view: tokens of texts, and errors for bad tokenizer files.

use birnn::text::{MAX_VOCABULARY, PAD, TextConfig, TextEncoder, TokenKind, Truncation, UNKNOWN};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;

fn config(kind: TokenKind) -> TextConfig {
    TextConfig {
        tokenizer: kind,
        min_frequency: 1,
        ..TextConfig::default()
    }
}

fn train(texts: &[&str], config: &TextConfig) -> TextEncoder {
    TextEncoder::train(texts, config, &mut |_, _| ()).unwrap()
}

fn words(texts: &[&str]) -> TextEncoder {
    train(texts, &config(TokenKind::Word))
}

/// The tokens of `text`, with a vocabulary learnt from the text itself.
fn tokens_of(text: &str) -> Vec<String> {
    tokens(&words(&[text]), text)
}

fn tokens(encoder: &TextEncoder, text: &str) -> Vec<String> {
    let ids = encoder.encode(text).unwrap();
    ids.into_iter()
        .map(|id| encoder.token(id).unwrap())
        .collect()
}

fn encode_all(encoder: &TextEncoder, texts: &[&str]) -> Vec<Vec<u32>> {
    let rows = encoder.encode_batch(texts, &mut |_, _| ControlFlow::Continue(()));
    rows.unwrap().unwrap().ids
}

fn load(bytes: &[u8]) -> birnn::Result<TextEncoder> {
    TextEncoder::from_bytes(bytes, Path::new("t.json"), &TextConfig::default())
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(work)
}

/// Texts with many ties in frequency, in several scripts.
fn varied_texts() -> Vec<String> {
    (0..3000)
        .map(|i| {
            format!(
                "Text {} isn't like text {}: {} — 电影很好看{}! Ça alors, naïve café {}.",
                i % 97,
                i % 89,
                ["good", "bad", "so-so", "great", "awful"][i % 5],
                ["的", "了", "吗", "是"][i % 4],
                i % 1009,
            )
        })
        .collect()
}

#[test]
fn word_ids_follow_frequency_and_then_the_alphabet() {
    let encoder = words(&["b b b a a c", "d c!"]);
    let expected = [
        (PAD, 0),
        (UNKNOWN, 1),
        ("b", 2),
        ("a", 3),
        ("c", 4),
        ("!", 5),
        ("d", 6),
    ];
    assert_eq!(
        encoder.vocabulary(),
        expected.map(|(token, id)| (token.to_owned(), id))
    );
    assert_eq!(encoder.vocabulary_size(), 7);
    assert_eq!(encoder.unknown_id(), Some(1));
    assert_eq!(encoder.id("c"), Some(4));
    assert_eq!(encoder.id("nowhere"), None);
    assert_eq!(encoder.token(5).as_deref(), Some("!"));
    assert_eq!(encoder.token(7), None);
    assert_eq!(encoder.encode("C nowhere b!").unwrap(), [4, 1, 2, 5]);
    assert_eq!(encoder.encode("x y z").unwrap(), [1, 1, 1]);
    assert_eq!(encoder.encode("").unwrap(), [0u32; 0]);
    assert_eq!(encoder.encode(" \t\n ").unwrap(), [0u32; 0]);
}

#[test]
fn frequency_and_size_limit_the_vocabulary() {
    let texts = ["a a a b b c c d"];
    let limited = |vocabulary_size, min_frequency| {
        let config = TextConfig {
            vocabulary_size,
            min_frequency,
            ..TextConfig::default()
        };
        let tokens = train(&texts, &config).vocabulary();
        tokens
            .into_iter()
            .map(|(token, _)| token)
            .collect::<Vec<_>>()
    };
    assert_eq!(limited(30_000, 2), ["<pad>", "<unk>", "a", "b", "c"]);
    assert_eq!(limited(4, 1), ["<pad>", "<unk>", "a", "b"]);
    assert_eq!(limited(30_000, 3), ["<pad>", "<unk>", "a"]);
}

#[test]
fn line_breaks_of_web_pages_become_spaces() {
    assert_eq!(
        tokens_of("good<br /><br />bad<br>so<BR/>so a<b r"),
        ["good", "bad", "so", "so", "a", "<", "b", "r"]
    );
}

#[test]
fn contractions_numbers_symbols_and_scripts() {
    assert_eq!(
        tokens_of("Don’t! It's 7/10, isn't it?? They'll, O'Toole's 'quote'"),
        [
            "do", "n't", "!", "it", "'s", "7", "/", "10", ",", "is", "n't", "it", "?", "?", "they",
            "'ll", ",", "o'toole", "'s", "'", "quote", "'"
        ]
    );
    assert_eq!(
        tokens_of("café cafe\u{301} naïve Привет нaм नमस्ते می\u{200C}خواهم 2nd snake_case"),
        [
            "café",
            "café",
            "naïve",
            "привет",
            "нaм",
            "नमस्ते",
            "می\u{200C}خواهم",
            "2nd",
            "snake_case"
        ]
    );
    assert_eq!(
        tokens_of("👍👍 ❤\u{FE0F}ok 👨\u{200D}👩\u{200D}👧! 电影，好"),
        [
            "👍",
            "👍",
            "❤\u{FE0F}",
            "ok",
            "👨\u{200D}👩\u{200D}👧",
            "!",
            "电影",
            "，",
            "好"
        ]
    );
    let cased = TextConfig {
        lowercase: false,
        ..config(TokenKind::Word)
    };
    assert_eq!(
        tokens(&train(&["IT'S It"], &cased), "IT'S It"),
        ["IT", "'S", "It"]
    );
}

#[test]
fn special_tokens_cannot_be_produced_by_a_text() {
    let encoder = words(&["pad unk < >"]);
    assert_eq!(
        tokens(&encoder, "<pad> <unk>"),
        ["<", "pad", ">", "<", "unk", ">"]
    );
}

#[test]
fn characters() {
    let encoder = train(&["电影 很好\n看!", "电影"], &config(TokenKind::Character));
    assert_eq!(encoder.encode("电影").unwrap(), [4, 3]);
    assert_eq!(
        tokens(&encoder, "  很\t\n 好！<br/>看 "),
        ["很", " ", "好", UNKNOWN, " ", "看"]
    );
    assert_eq!(encoder.encode("  \n").unwrap(), [0u32; 0]);
    assert_eq!(encoder.vocabulary_size(), 2 + 7);
}

#[test]
fn subwords_in_any_language() {
    let texts = ["low lower lowest", "low lower", "电影很好看", "电影不好看"];
    let encoder = train(&texts, &config(TokenKind::Bpe));
    assert_eq!(encoder.id(PAD), Some(0));
    assert_eq!(encoder.id(UNKNOWN), Some(1));
    assert_eq!(tokens(&encoder, "low LOWER"), ["▁low", "▁lower"]);
    assert_eq!(tokens(&encoder, "电影很好看"), ["▁电影很好看"]);
    let frequent = TextConfig {
        min_frequency: 2,
        ..config(TokenKind::Bpe)
    };
    let encoder = train(&texts, &frequent);
    assert_eq!(tokens(&encoder, "lowest"), ["▁lowe", UNKNOWN, UNKNOWN]);
    assert_eq!(tokens(&encoder, "电影真好看"), ["▁电影", UNKNOWN, "好看"]);
    let small = TextConfig {
        vocabulary_size: 6,
        ..config(TokenKind::Bpe)
    };
    assert_eq!(train(&texts, &small).vocabulary_size(), 6);
}

#[test]
fn training_gives_the_same_bytes_on_any_number_of_threads() {
    let texts = varied_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for kind in [TokenKind::Word, TokenKind::Bpe, TokenKind::Character] {
        let config = TextConfig {
            vocabulary_size: 120,
            ..config(kind.clone())
        };
        let json = |threads| on_threads(threads, || train(&texts, &config).to_json().unwrap());
        let one = json(1);
        assert_eq!(one, json(1), "{kind}");
        assert_eq!(one, json(2), "{kind}");
        assert_eq!(one, json(5), "{kind}");
    }
}

#[test]
fn a_saved_tokenizer_reads_the_same() {
    let texts = varied_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    for kind in [TokenKind::Word, TokenKind::Bpe, TokenKind::Character] {
        let config = config(kind);
        let trained = train(&texts, &config);
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, trained.to_json().unwrap()).unwrap();
        let loaded = TextEncoder::load(&path, &config).unwrap();
        assert_eq!(loaded.to_json().unwrap(), trained.to_json().unwrap());
        assert_eq!(loaded.vocabulary(), trained.vocabulary());
        assert_eq!(loaded.vocabulary_size(), trained.vocabulary_size());
        assert_eq!(loaded.unknown_id(), trained.unknown_id());
        assert_eq!(encode_all(&loaded, &texts), encode_all(&trained, &texts));
        // The same file as a kind of token.
        let given = train(&[], &self::config(TokenKind::File(path)));
        assert_eq!(given.vocabulary(), trained.vocabulary());
    }
}

#[test]
fn a_batch_gives_the_tokens_of_each_text_and_can_be_stopped() {
    let texts = varied_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = words(&texts);
    let single: Vec<_> = texts
        .iter()
        .map(|text| encoder.encode(text).unwrap())
        .collect();
    assert_eq!(encode_all(&encoder, &texts), single);
    let mut seen = Vec::new();
    let stopped = encoder.encode_batch(&texts, &mut |done, total| {
        seen.push((done, total));
        if done < 2000 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert_eq!(stopped.unwrap(), None);
    assert_eq!(seen, [(1024, 3000), (2048, 3000)]);
    let mut seen = Vec::new();
    TextEncoder::train(&texts, &config(TokenKind::Word), &mut |done, total| {
        seen.push((done, total));
    })
    .unwrap();
    assert_eq!(seen, [(1024, 3000), (2048, 3000), (3000, 3000)]);
}

#[test]
fn long_texts_are_shortened() {
    let cut = |max_tokens, truncation| {
        let config = TextConfig {
            max_tokens,
            truncation,
            ..config(TokenKind::Word)
        };
        let encoder = train(&["a b c d e f"], &config);
        tokens(&encoder, "a b c d e f").concat()
    };
    assert_eq!(cut(3, Truncation::Head), "abc");
    assert_eq!(cut(3, Truncation::Tail), "def");
    assert_eq!(cut(3, Truncation::Both), "abf");
    assert_eq!(cut(0, Truncation::Head), "abcdef");
    assert_eq!(cut(6, Truncation::Tail), "abcdef");
}

#[test]
fn training_names_what_is_missing() {
    let error = |texts: &[&str], config: &TextConfig| {
        let trained = TextEncoder::train(texts, config, &mut |_, _| ());
        trained.unwrap_err().to_string()
    };
    for kind in [TokenKind::Word, TokenKind::Bpe, TokenKind::Character] {
        let config = config(kind);
        assert_eq!(
            error(&["", " \n"], &config),
            "texts: 2 texts without a single word to learn from"
        );
        let rare = TextConfig {
            min_frequency: 9,
            ..config.clone()
        };
        assert_eq!(
            error(&["ab"], &rare),
            "configuration, text.min_frequency: nothing occurs 9 times in the texts; choose a \
             lower frequency, or train on more texts"
        );
        let tiny = TextConfig {
            vocabulary_size: 2,
            ..config
        };
        assert!(error(&["ab"], &tiny).starts_with("configuration, text.vocabulary_size: "));
    }
}

/// A tokenizer with all settings that must not affect our ids.
fn bert() -> Value {
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [
            {"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true},
            {"id": 6, "content": "[NEW]", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true},
        ],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "good": 3, "##ness": 4, "!": 5}}
    })
}

fn loaded(value: &Value) -> birnn::Result<TextEncoder> {
    load(value.to_string().as_bytes())
}

#[test]
fn a_given_tokenizer_gives_the_tokens_of_the_text_only() {
    let encoder = loaded(&bert()).unwrap();
    assert_eq!(
        encoder.encode("Goodness! good [NEW] 好").unwrap(),
        [3, 4, 5, 3, 6, 1]
    );
    assert_eq!(encoder.vocabulary_size(), 7);
    assert_eq!(encoder.unknown_id(), Some(1));
    let saved: Value = serde_json::from_str(&encoder.to_json().unwrap()).unwrap();
    for key in ["truncation", "padding", "post_processor"] {
        assert_eq!(saved[key], Value::Null, "{key}");
    }
    let again = loaded(&saved).unwrap();
    assert_eq!(again.to_json().unwrap(), encoder.to_json().unwrap());
}

#[test]
fn dropout_of_bpe_is_left_out() {
    let encoder = loaded(&json!({"model": {"type": "BPE", "dropout": 0.5,
        "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}))
    .unwrap();
    for _ in 0..50 {
        assert_eq!(encoder.encode("ababab").unwrap(), [2, 2, 2]);
    }
}

#[test]
fn models_of_every_kind_load() {
    let word_level = json!({"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 9}});
    let unigram = json!({"type": "Unigram", "unk_id": 0, "vocab": [["u", 0.0], ["a", -1.0]]});
    let old_bpe = json!({"unk_token": null, "continuing_subword_prefix": "",
        "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["#version: 0.2", "a b"]});
    let mut old_bert = bert();
    old_bert["model"].as_object_mut().unwrap().remove("type");
    let encode = |model: &Value, text| {
        let encoder = loaded(&json!({ "model": model })).unwrap();
        (
            encoder.encode(text).unwrap(),
            encoder.vocabulary_size(),
            encoder.unknown_id(),
        )
    };
    assert_eq!(encode(&word_level, "a"), (vec![9], 10, Some(0)));
    assert_eq!(encode(&unigram, "ab"), (vec![1, 0], 2, Some(0)));
    assert_eq!(encode(&old_bpe, "abxa"), (vec![2, 0], 3, None));
    assert_eq!(
        loaded(&old_bert).unwrap().encode("goodness").unwrap(),
        [3, 4]
    );
}

#[test]
fn bad_tokenizer_files_are_refused_and_none_panics() {
    let vocab = json!({"u": 0, "a": 1, "b": 2});
    let word_level = |vocab: Value| json!({"type": "WordLevel", "unk_token": "u", "vocab": vocab});
    let model = |model: Value| json!({ "model": model }).to_string();
    let with = |key: &str, value: Value| {
        json!({"model": word_level(vocab.clone()), key: value}).to_string()
    };
    let bpe = |merges: Value, prefix: Value| {
        model(
            json!({"type": "BPE", "vocab": {"a": 0, "é": 1, "ab": 2, "#b": 3},
            "continuing_subword_prefix": prefix, "merges": merges}),
        )
    };
    let added = |id: Value, content: &str| {
        with(
            "added_tokens",
            json!([{"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}]),
        )
    };
    let split = |pattern: String| {
        with(
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
                "invert": false}),
        )
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "the file is empty"),
        (" \n".into(), "the file is empty"),
        (
            "not json".into(),
            "not a tokenizer: expected ident at line 1",
        ),
        (
            "\u{0}\u{1}".into(),
            "not a tokenizer: expected value at line 1",
        ),
        ("[]".into(), "not a tokenizer: "),
        ("null".into(), "not a tokenizer: "),
        ("{}".into(), "not a tokenizer: missing field `model`"),
        ("{\"model\"".into(), "not a tokenizer: EOF while parsing"),
        (deep, "not a tokenizer: "),
        (
            format!("{{\"normalizer\":{}", "[".repeat(100_000)),
            "not a tokenizer: recursion limit exceeded",
        ),
        (
            json!({"model": null}).to_string(),
            "not a tokenizer: invalid type: null",
        ),
        (model(json!({})), "not a tokenizer: missing field `vocab`"),
        (
            model(json!({"type": "Word2Vec", "vocab": {}})),
            "unknown variant `Word2Vec`",
        ),
        (model(word_level(json!({}))), "its vocabulary is empty"),
        (
            model(word_level(json!(5))),
            "expected a vocabulary of tokens with ids or scores",
        ),
        (
            model(word_level(json!({"u": -1}))),
            "invalid value: integer `-1`, expected a whole number from 0",
        ),
        (
            model(word_level(json!({"u": 0.5}))),
            "expected a whole number from 0",
        ),
        (
            model(word_level(json!({"u": "0"}))),
            "expected a whole number from 0",
        ),
        (
            model(word_level(json!({"u": null}))),
            "expected a whole number from 0",
        ),
        (
            model(word_level(json!({"u": 0, "a": u32::MAX}))),
            "the token \"a\" has the id 4294967295; ids must be below 16777216",
        ),
        (
            model(word_level(json!({"u": 0, "a": MAX_VOCABULARY}))),
            "the token \"a\" has the id 16777216; ids must be below 16777216",
        ),
        (
            model(word_level(json!({"u": 0, "a": 1, "b": 1}))),
            "have the same id 1",
        ),
        (
            "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"u\",\
             \"vocab\":{\"u\":0,\"a\":1,\"a\":2}}}"
                .into(),
            "the token \"a\" occurs twice",
        ),
        (
            "{\"model\":{\"vocab\":{}},\"model\":{\"vocab\":{}}}".into(),
            "duplicate field `model`",
        ),
        (
            model(word_level(json!({"a": 0}))),
            "its unknown token \"u\" is not in its vocabulary",
        ),
        (
            model(json!({"type": "WordLevel", "vocab": {"a": 0}})),
            "it names no unknown token (unk_token)",
        ),
        (
            model(json!({"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"a": 0}})),
            "its unknown token \"[UNK]\" is not in its vocabulary",
        ),
        (
            model(json!({"type": "WordLevel", "unk_token": "u", "vocab": [["u", 0.0]]})),
            "the vocabulary does not have the form of a WordLevel vocabulary",
        ),
        (
            model(json!({"type": "Unigram", "unk_id": 0, "vocab": {"u": 0}})),
            "the vocabulary does not have the form of a Unigram vocabulary",
        ),
        (
            model(json!({"type": "Unigram", "unk_id": 0, "vocab": []})),
            "its vocabulary is empty",
        ),
        (
            model(json!({"type": "Unigram", "unk_id": 7, "vocab": [["u", 0.0]]})),
            "not a usable tokenizer: ",
        ),
        (
            model(json!({"type": "Unigram", "vocab": [["u", 0.0]]})),
            "it names no unknown token (unk_id)",
        ),
        (
            model(json!({"type": "BPE", "vocab": {"a": 0}})),
            "a BPE model needs merges",
        ),
        (bpe(json!([["a", "nowhere"]]), Value::Null), "nowhere"),
        (
            bpe(json!([["a", "é"]]), Value::Null),
            "not a usable tokenizer: ",
        ),
        (
            bpe(json!(["a b c"]), Value::Null),
            "merge 1 is not two subwords",
        ),
        (
            bpe(json!([["a", "a", "a"]]), Value::Null),
            "not a tokenizer: ",
        ),
        (
            bpe(json!([["a", "#b"], ["a", "é"]]), json!("#")),
            "merge 2 is not two subwords",
        ),
        (
            bpe(json!([["a", "a"]]), json!("a long prefix")),
            "merge 1 is not two subwords",
        ),
        (
            with("version", json!("9.0")),
            "format version \"9.0\", but only \"1.0\" is known",
        ),
        (with("version", json!(1)), "not a tokenizer: "),
        (
            with("normalizer", json!({"type": "Nothing"})),
            "its normalizer cannot be read: ",
        ),
        (
            with("normalizer", json!("NFC")),
            "its normalizer cannot be read: ",
        ),
        (
            with(
                "normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            ),
            "not a usable tokenizer: panic: ",
        ),
        (
            with(
                "normalizer",
                json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}),
            ),
            "the tokenizer failed on a text: panic: ",
        ),
        (
            with("decoder", json!({"type": "Nothing"})),
            "its decoder cannot be read: ",
        ),
        (
            with("pre_tokenizer", json!([])),
            "its pre_tokenizer cannot be read: ",
        ),
        (
            with("pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
            "its FixedLength pre-tokenizer has the length 0",
        ),
        (split("(".into()), "its pre_tokenizer cannot be read: "),
        (
            split("(".repeat(10_000)),
            "its pre_tokenizer cannot be read: ",
        ),
        (
            split("a".repeat(20_000)),
            "it has a regular expression of 20000 bytes",
        ),
        (
            split("(?:(?:(?=a){999}){999}){999}".into()),
            "asks for too many repetitions",
        ),
        (added(json!(-1), "x"), "not a tokenizer: "),
        (
            added(json!(9), "x"),
            "the added token \"x\" should have the id 9, but would get 3",
        ),
        (
            added(json!(3), ""),
            "the added token \"\" should have the id 3, but would get none",
        ),
        (
            added(json!(u32::MAX), "x"),
            "the added token \"x\" has the id 4294967295; ids must be below 16777216",
        ),
        (
            with("added_tokens", json!([{"id": 3}])),
            "not a tokenizer: missing field",
        ),
    ];
    for (text, expected) in &cases {
        let shown: String = text.chars().take(200).collect();
        let message = match load(text.as_bytes()) {
            Ok(_) => panic!("accepted: {shown}"),
            Err(error) => error.to_string(),
        };
        assert!(message.starts_with("t.json: "), "{shown}: {message}");
        assert!(message.contains(expected), "{shown}: {message}");
    }
    let not_utf8 = load(b"{\"model\":{\"type\":\"\xff\"}}");
    assert!(
        not_utf8
            .unwrap_err()
            .to_string()
            .contains("not a tokenizer: ")
    );
    assert_eq!(
        load(b"").unwrap_err().to_string(),
        "t.json: the file is empty; give a tokenizer.json as Hugging Face tokenizers saves it, or \
         train a tokenizer"
    );
}

/// A word tokenizer does not use the crate; a file that describes the same tokenizer differently does.
#[test]
fn words_are_the_same_through_the_crate() {
    let texts = varied_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for lowercase in [true, false] {
        let config = TextConfig {
            lowercase,
            vocabulary_size: 900,
            ..config(TokenKind::Word)
        };
        let trained = train(&texts, &config);
        let written: Value = serde_json::from_str(&trained.to_json().unwrap()).unwrap();
        let through_the_crate = |change: &dyn Fn(&mut Value)| {
            let mut value = written.clone();
            change(&mut value);
            let encoder = loaded(&value).unwrap();
            assert_eq!(encode_all(&encoder, &texts), encode_all(&trained, &texts));
            assert_eq!(encoder.vocabulary(), trained.vocabulary());
            assert_eq!(encoder.unknown_id(), trained.unknown_id());
            assert_eq!(encoder.token(7), trained.token(7));
            assert_eq!(encoder.id("good"), trained.id("good"));
            encoder.to_json().unwrap()
        };
        // Composing twice gives the same as composing once.
        through_the_crate(&|value| {
            let steps = value["normalizer"]["normalizers"].as_array_mut().unwrap();
            steps.insert(2, json!({"type": "NFC"}));
        });
        through_the_crate(&|value| value["decoder"] = json!({"type": "Fuse"}));
        // A model without a kind; it is saved with one.
        let saved = through_the_crate(&|value| {
            value["model"].as_object_mut().unwrap().remove("type");
        });
        assert_eq!(saved, trained.to_json().unwrap());
    }
}

#[test]
fn a_missing_file_is_named() {
    let missing = TextEncoder::load(Path::new("/no/such.json"), &TextConfig::default());
    assert_eq!(
        missing.unwrap_err().to_string(),
        "cannot read /no/such.json"
    );
}

#[test]
fn truncated_and_corrupted_files_never_panic() {
    for whole in [
        bert().to_string(),
        words(&["a b don't"]).to_json().unwrap(),
        train(&["abab ab"], &config(TokenKind::Bpe))
            .to_json()
            .unwrap(),
    ] {
        for end in 0..whole.len() {
            assert!(load(&whole.as_bytes()[..end]).is_err());
        }
        for at in 0..whole.len() {
            for with in [b'0', b'"', 0xff] {
                let mut bent = whole.clone().into_bytes();
                bent[at] = with;
                // Refused or usable; either is fine, but not a panic.
                if let Ok(encoder) = load(&bent) {
                    encoder.encode("a b abab don't goodness").unwrap();
                    encoder.to_json().unwrap();
                }
            }
        }
    }
}

#[test]
fn the_kind_of_tokens_is_found_in_the_texts() {
    let train = |texts: &[&str], kind| {
        let config = TextConfig {
            min_frequency: 1,
            ..config(kind)
        };
        let encoder = TextEncoder::train(texts, &config, &mut |_, _| ()).unwrap();
        encoder.to_json().unwrap()
    };
    for (texts, kind) in [
        (["a good film", "it's bad"], TokenKind::Word),
        (["хороший фильм", "이 영화"], TokenKind::Word),
        (["这部电影", "好看"], TokenKind::Character),
        (["a good film", "หนังเรื่องนี้"], TokenKind::Character),
    ] {
        assert_eq!(
            train(&texts, TokenKind::Auto),
            train(&texts, kind),
            "{texts:?}"
        );
    }
}
