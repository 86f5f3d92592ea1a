//! The vocabulary of a `tokenizer.json`, read as a stream.

use crate::text::MAX_VOCABULARY;
use crate::text::vocabulary::TokenList;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use tokenizers::models::bpe::Vocab;

/// `{"token": id, ...}`, or Unigram's `[["token", score], ...]`.
pub(super) enum Entries {
    Ids(Numbered),
    Scores(Vec<(String, f64)>),
}

/// Tokens with their ids, in the order of the file.
#[derive(Default)]
pub(super) struct Numbered {
    pub(super) tokens: TokenList,
    pub(super) ids: Vec<u32>,
}

impl Numbered {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.tokens.iter().zip(self.ids.iter().copied())
    }

    pub(super) fn id(&self, wanted: &str) -> Option<u32> {
        let found = self.iter().find(|&(token, _)| token == wanted);
        found.map(|(_, id)| id)
    }

    /// As a map, for the crate's builders.
    pub(super) fn to_map(&self) -> Vocab {
        self.iter()
            .map(|(token, id)| (token.to_owned(), id))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary of tokens with ids or scores")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut entries = Numbered::default();
                while map.next_key_seed(Push(&mut entries.tokens))?.is_some() {
                    let id: u32 = map.next_value()?;
                    if id as usize >= MAX_VOCABULARY {
                        let token = entries.tokens.iter().next_back().unwrap_or_default();
                        return Err(de::Error::custom(format_args!(
                            "the token {token:?} has the id {id}; ids must be below {MAX_VOCABULARY}"
                        )));
                    }
                    entries.ids.push(id);
                }
                Ok(Entries::Ids(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut tokens = Vec::new();
                while let Some(token) = list.next_element()? {
                    if tokens.len() == MAX_VOCABULARY {
                        return Err(de::Error::custom(format_args!(
                            "more than {MAX_VOCABULARY} tokens"
                        )));
                    }
                    tokens.push(token);
                }
                Ok(Entries::Scores(tokens))
            }
        }

        deserializer.deserialize_any(EntriesVisitor)
    }
}

/// Appends the next string to a list.
struct Push<'a>(&'a mut TokenList);

impl<'de> DeserializeSeed<'de> for Push<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Push<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E>(self, token: &str) -> std::result::Result<(), E> {
        self.0.push(token);
        Ok(())
    }
}
