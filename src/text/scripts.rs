//! Scripts that put no spaces between words: whether texts are written in them.

use super::config::TokenKind;
use super::words::class_ranges;
use rayon::prelude::*;
use std::sync::LazyLock;

/// Letters of the scripts without spaces between words: those of East Asia except Hangul, and those of South-East Asia
/// whose lines Unicode breaks by dictionary (line-breaking class SA).
const UNSPACED: &str = concat!(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Tangut}\p{Nushu}\p{Khitan_Small_Script}",
    r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Ahom}&&\p{L}]"
);

/// The share of letters in such scripts from which texts are split into characters. Such a letter says as much as several
/// of an alphabet: with one in five, about half of the content is in words that no space separates.
const MIN_SHARE: f64 = 0.2;

/// How [`TokenKind::Auto`] is decided for some texts.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoTokens {
    /// The kind: words, or characters.
    pub kind: TokenKind,
    /// The share of the texts' letters that are in scripts without spaces between words.
    pub unspaced: f64,
}

impl AutoTokens {
    /// Decides for these texts: characters if at least a fifth of all letters is in scripts without spaces between words,
    /// words otherwise.
    pub fn of<T: AsRef<str> + Sync>(texts: &[T]) -> Self {
        // Sums of whole numbers, on any number of threads.
        let (unspaced, letters) = texts
            .par_iter()
            .with_min_len(64)
            .map(|text| count(text.as_ref()))
            .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let unspaced = unspaced as f64 / letters.max(1) as f64;
        let kind = match unspaced >= MIN_SHARE {
            true => TokenKind::Character,
            false => TokenKind::Word,
        };
        Self { kind, unspaced }
    }

    /// The line that says so, if texts are not split into words.
    pub fn note(&self) -> Option<String> {
        (self.kind != TokenKind::Word).then(|| {
            format!(
                "{:.0} % of the letters are in scripts without spaces between words: text.tokenizer = \"{}\"",
                100.0 * self.unspaced,
                self.kind
            )
        })
    }
}

/// The number of letters in scripts without spaces, and of all letters.
fn count(text: &str) -> (u64, u64) {
    if text.is_ascii() {
        let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
        return (0, letters as u64);
    }
    let (mut unspaced, mut letters) = (0, 0);
    for character in text.chars().filter(|character| character.is_alphabetic()) {
        letters += 1;
        unspaced += u64::from(!character.is_ascii() && is_unspaced(character));
    }
    (unspaced, letters)
}

/// Whether a character is a letter of a script without spaces between words.
pub(crate) fn is_unspaced(character: char) -> bool {
    static RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| class_ranges(UNSPACED));
    let after = RANGES.partition_point(|(_, last)| *last < character);
    RANGES
        .get(after)
        .is_some_and(|(first, _)| *first <= character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(texts: &[&str]) -> TokenKind {
        AutoTokens::of(texts).kind
    }

    #[test]
    fn scripts_without_spaces_are_read_by_characters() {
        for text in [
            "这部电影太好看了，我还想再看一遍。",
            "この映画はとても面白かった",
            "หนังเรื่องนี้สนุกมาก",
            "ភាពយន្តនេះល្អណាស់",
            "ໜັງເລື່ອງນີ້ດີຫຼາຍ",
            "ဒီရုပ်ရှင်က အရမ်းကောင်းတယ်",
            "𠀀𠀁",
        ] {
            assert_eq!(kind(&[text]), TokenKind::Character, "{text}");
        }
    }

    #[test]
    fn scripts_with_spaces_and_texts_without_letters_are_read_by_words() {
        for text in [
            "",
            "1 2 3 !",
            "a film",
            "это хороший фильм",
            "이 영화는 정말 재미있다",
            "هذا الفيلم رائع",
            "यह फिल्म बहुत अच्छी है",
            "phim này rất hay",
        ] {
            assert_eq!(kind(&[text]), TokenKind::Word, "{text}");
        }
        assert_eq!(kind(&[]), TokenKind::Word);
    }

    #[test]
    fn mixed_texts_are_decided_by_the_share_of_all_letters() {
        // 4 of 20 letters, and 4 of 21.
        assert_eq!(
            kind(&["好好好好", "abcdefgh ijklmnop"]),
            TokenKind::Character
        );
        assert_eq!(kind(&["好好好好", "abcdefgh ijklmnopq"]), TokenKind::Word);
        let found = AutoTokens::of(&["好好好好", "abcdefgh ijklmnop 123 !"]);
        assert_eq!(found.unspaced, 0.2);
        assert_eq!(
            found.note().unwrap(),
            "20 % of the letters are in scripts without spaces between words: text.tokenizer = \"character\""
        );
        assert_eq!(AutoTokens::of(&["a film"]).note(), None);
    }
}
