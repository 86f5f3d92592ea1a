//! Pretrained word vectors, for the words of a vocabulary.
//!
//! Text files have a word and its numbers on each line, separated by single spaces or tabs: GloVe files as they are,
//! word2vec and fastText files with their first line `count dimension`. The binary files of word2vec and the models of
//! fastText are read as well. All may be compressed. The format and the compression are found from the content, not the
//! name. The file is read as a stream; only the rows of words in the vocabulary are kept.
//!
//! # Which vector a word gets
//! The vector with the same spelling. If the file has none, the first whose spelling agrees in
//! lower case: `Paris` takes the vector of `paris`, and `paris` that of `Paris`. If a word occurs
//! twice in the file, the first vector counts. Other words have the mean of their n-grams, if the file is a model of
//! fastText with n-grams of letters; [`VectorTable::from_ngrams`] counts them.

use super::fasttext::read_fasttext;
use super::file::{VectorsFile, VectorsFormat};
use super::lines::Lines;
use super::search::Search;
use super::vector_table::VectorTable;
use super::word2vec::read_word2vec;
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::path::Path;

/// Is called with the number of bytes read and the size of the file, and may break off.
pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// How many lines are read between two calls of the progress callback.
const LINES_PER_REPORT: usize = 8192;

/// Reads the vectors of the words in `vocabulary`, pairs of a word and its id.
///
/// `progress` is called with the number of bytes read and the size of the file; if it breaks off,
/// the result is `None`.
///
/// # Errors
/// The file cannot be read; it is not a file of vectors, is damaged or ends early (the error
/// names the place); it is a quantised model; or it holds none of the words. The numbers of words in the vocabulary must be
/// finite; those of others are not looked at.
pub fn read_vectors(
    path: &Path,
    vocabulary: &[(String, u32)],
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Option<VectorTable>> {
    let file = VectorsFile::open(path)?;
    match file.format() {
        VectorsFormat::Text => read_text(file, vocabulary, progress),
        VectorsFormat::Word2Vec => read_word2vec(file, vocabulary, progress),
        VectorsFormat::FastText => read_fasttext(file, vocabulary, progress),
    }
}

fn read_text(
    file: VectorsFile,
    vocabulary: &[(String, u32)],
    progress: Progress<'_>,
) -> Result<Option<VectorTable>> {
    let mut lines = Lines::new(file);
    let (header, dimension) = lines.first()?;
    let mut search = Search::new(vocabulary, dimension);
    let mut words = 0;
    loop {
        if !lines.text.is_empty() {
            let (word, values) = lines.split(dimension)?;
            words += 1;
            search.offer(word, || lines.numbers(values, dimension))?;
        }
        if lines.number.is_multiple_of(LINES_PER_REPORT)
            && progress(lines.file.bytes_read(), lines.file.size()).is_break()
        {
            return Ok(None);
        }
        if !lines.advance()? {
            break;
        }
    }
    let size = lines.file.size();
    if progress(size, size).is_break() {
        return Ok(None);
    }
    if let Some(count) = header.filter(|&count| words < count) {
        return Err(Error::data(
            lines.file.name(),
            format!("holds {words} words, but its first line declares {count}"),
            "the file ends early: download it again",
        ));
    }
    search.finish(lines.file.name()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const WORDS: [(&str, u32); 5] = [
        ("<pad>", 0),
        ("<unk>", 1),
        ("good", 2),
        ("Paris", 3),
        ("at home", 4),
    ];

    fn read(bytes: &[u8]) -> Result<Option<VectorTable>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let words = WORDS.map(|(word, id)| (word.to_owned(), id));
        let result = read_vectors(file.path(), &words, &mut |read, size| {
            assert!(read <= size && size == bytes.len() as u64);
            ControlFlow::Continue(())
        });
        // The random name is replaced so that messages can be compared.
        let name = file.path().display().to_string();
        result.map_err(|error| match error {
            Error::Data {
                place,
                problem,
                remedy,
            } => Error::data(place.replace(&name, "V"), problem, remedy),
            other => other,
        })
    }

    fn table(text: &str) -> VectorTable {
        read(text.as_bytes()).unwrap().unwrap()
    }

    fn message(bytes: impl AsRef<[u8]>) -> String {
        read(bytes.as_ref()).unwrap_err().to_string()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn glove() {
        let table = table("the 1 2 3\ngood 0.5 -1.5e-1 2\nParis 4 5 6\n");
        assert_eq!(
            (table.dimension, table.found, table.vocabulary_size),
            (3, 2, 5)
        );
        assert_eq!(table.coverage(), 0.4);
        assert_eq!(table.row(2), Some(&[0.5, -0.15, 2.0][..]));
        assert_eq!(table.row(3), Some(&[4.0, 5.0, 6.0][..]));
        assert_eq!(table.row(1), None);
        assert_eq!(table.row(99), None);
    }

    #[test]
    fn a_header_spaces_at_line_ends_blank_lines_and_no_last_newline() {
        let fast_text = table("2 2\ngood 1 2 \r\n\nParis 3 4");
        assert_eq!((fast_text.dimension, fast_text.found), (2, 2));
        assert_eq!(fast_text.row(3), Some(&[3.0, 4.0][..]));
    }

    #[test]
    fn gzip_is_detected_from_the_content() {
        let text = b"2 2\ngood 1 2\nParis 3 4\n";
        let plain = read(text).unwrap();
        assert_eq!(read(&gzip(text)).unwrap(), plain);
        // Two members, as `cat a.gz b.gz` makes them.
        let members = [gzip(&text[..11]), gzip(&text[11..])].concat();
        assert_eq!(read(&members).unwrap(), plain);
    }

    #[test]
    fn words_may_hold_spaces() {
        let table = table("good 1 2\nat home 3 4\n. . . 5 6\n");
        assert_eq!(table.row(4), Some(&[3.0, 4.0][..]));
        assert_eq!(table.found, 2);
    }

    #[test]
    fn two_spaces_after_a_word_are_not_part_of_it() {
        let table = table("x 0 0\ngood  1 2\n");
        assert_eq!(table.row(2), Some(&[1.0, 2.0][..]));
    }

    #[test]
    fn the_same_spelling_comes_before_the_lower_case() {
        let only_lower = table("x 0 0\nparis 1 1\nPARIS 2 2\n");
        assert_eq!(only_lower.row(3), Some(&[1.0, 1.0][..]));
        let both = table("x 0 0\nparis 1 1\nParis 3 3\nGOOD 4 4\n");
        assert_eq!(both.row(3), Some(&[3.0, 3.0][..]));
        assert_eq!(both.row(2), Some(&[4.0, 4.0][..]));
        assert_eq!(both.found, 2);
        let exact_first = table("x 0 0\nParis 3 3\nparis 1 1\n");
        assert_eq!(exact_first.row(3), Some(&[3.0, 3.0][..]));
    }

    #[test]
    fn the_first_of_duplicate_words_counts() {
        let table = table("good 1 2\ngood 3 4\n");
        assert_eq!(table.row(2), Some(&[1.0, 2.0][..]));
        assert_eq!(table.found, 1);
    }

    #[test]
    fn wrong_lines_are_named() {
        let again = "the file is damaged or ends early: download it again";
        assert_eq!(
            message("the 1 2 3\ngood 1 2\n"),
            format!("V, line 2: 2 numbers, but the previous lines have 3; {again}")
        );
        assert_eq!(
            message("the 1 2\ngood 1.5 2.5 3.5\n"),
            format!("V, line 2: 3 numbers, but the previous lines have 2; {again}")
        );
        assert_eq!(
            message("2 4\ngood 1 2 3\nParis 1 2 3\n"),
            format!("V, line 2: 3 numbers, but the previous lines have 4; {again}")
        );
        assert_eq!(
            message("2 2\ngood 1 2 3\nParis 1 2 3\n"),
            format!("V, line 2: 3 numbers, but the previous lines have 2; {again}")
        );
        let remove = "remove the line, or take the vectors from another source";
        assert_eq!(
            message("the 1 2\ngood 1 two\n"),
            format!("V, line 2: \"two\" is not a number; {remove}")
        );
        assert_eq!(
            message("the 1 2\n\ngood NaN 2\n"),
            format!("V, line 3: \"NaN\" reads as NaN, which is not finite; {remove}")
        );
        assert_eq!(
            message("the 1 2\ngood 1 -1e99\n"),
            format!("V, line 2: \"-1e99\" reads as -inf, which is not finite; {remove}")
        );
        assert_eq!(
            message(b"the 1 2\ng\xffod 1 2\n"),
            "V, line 2: the word is not UTF-8; convert the file to UTF-8"
        );
    }

    #[test]
    fn files_that_end_early_are_refused() {
        assert_eq!(
            message("3 2\ngood 1 2\nParis 3 4\n"),
            "V: holds 2 words, but its first line declares 3; the file ends early: download it again"
        );
        assert_eq!(
            message("3 2\n"),
            "V, line 2: the file ends here, but its first line declares 3 words; download it again"
        );
        let whole = gzip("good 0.123 0.456\n".repeat(500).as_bytes());
        let cut = message(&whole[..whole.len() - 12]);
        assert!(cut.starts_with("V, line "), "{cut}");
        assert!(
            cut.ends_with(": the compressed file ends early; download it again"),
            "{cut}"
        );
        let mut bent = whole;
        let checksum = bent.len() - 6;
        bent[checksum] ^= 1;
        let bent = message(&bent);
        assert!(bent.contains("the compressed file is damaged"), "{bent}");
    }

    #[test]
    fn other_file_types_are_recognised() {
        assert_eq!(message(""), "V: the file is empty; download it again");
        assert_eq!(
            message("\n \n"),
            "V, line 1: the file holds no lines; download it again"
        );
        assert_eq!(
            message("PK\u{3}\u{4}rest"),
            "V: this is a zip archive; unpack it and give the file in it"
        );
        assert_eq!(
            message("A story about vectors\n"),
            "V, line 1: not a word and its numbers; give word vectors as text: a word and its \
             numbers on each line"
        );
        assert_eq!(
            message("the 1 2\nbad 3 4\n"),
            "V: holds none of the 5 words of the vocabulary; take vectors of the language of \
             the texts, and words as tokens"
        );
        let mut endless = b"2 3\n".to_vec();
        endless.resize(3 << 20, b'a');
        assert_eq!(
            message(&endless),
            "V, line 2: the line is longer than 1 MiB; give word vectors as text, or in a format of word2vec or fastText"
        );
        let missing = read_vectors(Path::new("/no/such/file"), &[], &mut |_, _| {
            ControlFlow::Continue(())
        });
        assert_eq!(
            missing.unwrap_err().to_string(),
            "cannot read /no/such/file"
        );
    }

    #[test]
    fn reading_can_be_broken_off() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all("good 1 2\n".repeat(20_000).as_bytes())
            .unwrap();
        let words = [("good".to_owned(), 0)];
        let mut calls = 0;
        let result = read_vectors(file.path(), &words, &mut |_, _| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert_eq!((result.unwrap(), calls), (None, 1));
    }
}
