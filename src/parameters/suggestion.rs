//! Finds the renamings that make the names of a file those of a model.

use super::comparison::{ExpectedShape, fits};
use super::rename::Rename;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Number of renamings that are suggested at most.
const SUGGESTED: usize = 8;
/// Number of renamings that are tried for each of them, those proposed by the most pairs of names.
const TRIED: usize = 16;

/// The renamings, each of which finds the most expected tensors after those before it; `found` is renamed.
///
/// A pair of a missing and an unexpected name whose ends and shapes are the same proposes to rename what comes before
/// the common end: `module.encoder.weight` and `encoder.weight` propose `module.` to nothing.
pub(super) fn renames(
    found: &mut BTreeMap<String, &[usize]>,
    expected: &BTreeMap<String, ExpectedShape>,
) -> Vec<Rename> {
    let mut chosen = Vec::new();
    while chosen.len() < SUGGESTED {
        let before = count(
            found.iter().map(|(name, shape)| (name.as_str(), *shape)),
            expected,
        );
        let proposed = proposals(found, expected);
        let gains = proposed.into_iter().filter_map(|rename| {
            let after = matched(&rename, found, expected)?;
            (after > before).then_some((after, rename))
        });
        // Of equally good ones the shortest.
        let best = gains.max_by_key(|(after, rename)| {
            (
                *after,
                Reverse((rename.from.len() + rename.to.len(), rename.clone())),
            )
        });
        let Some((_, rename)) = best else { break };
        if rename.apply(found).is_err() {
            break;
        }
        chosen.push(rename);
    }
    chosen
}

/// Number of expected tensors among these.
fn count<'a>(
    found: impl Iterator<Item = (&'a str, &'a [usize])>,
    expected: &BTreeMap<String, ExpectedShape>,
) -> usize {
    found
        .filter(|(name, shape)| {
            expected
                .get(*name)
                .is_some_and(|wanted| fits(shape, wanted))
        })
        .count()
}

/// Number of expected tensors after a renaming; `None` if it gives two tensors one name.
fn matched(
    rename: &Rename,
    found: &BTreeMap<String, &[usize]>,
    expected: &BTreeMap<String, ExpectedShape>,
) -> Option<usize> {
    let renamed: BTreeMap<String, &[usize]> = found
        .iter()
        .map(|(name, shape)| (rename.of(name).unwrap_or_else(|| name.clone()), *shape))
        .collect();
    let all = renamed.iter().map(|(name, shape)| (name.as_str(), *shape));
    (renamed.len() == found.len()).then(|| count(all, expected))
}

/// The renamings that most pairs of names propose.
fn proposals(
    found: &BTreeMap<String, &[usize]>,
    expected: &BTreeMap<String, ExpectedShape>,
) -> Vec<Rename> {
    let mut unexpected: HashMap<&str, Vec<(&str, &[usize])>> = HashMap::new();
    for (name, shape) in found {
        if !expected.contains_key(name) {
            let same = unexpected.entry(last_part(name)).or_default();
            same.push((name, shape));
        }
    }
    let mut votes: BTreeMap<Rename, usize> = BTreeMap::new();
    for (missing, shape) in expected {
        if found.contains_key(missing) {
            continue;
        }
        let alike = unexpected.get(last_part(missing)).into_iter().flatten();
        for (name, _) in alike.filter(|(_, found)| fits(found, shape)) {
            let common = common_end(name, missing);
            let rename = Rename::new(
                &name[..name.len() - common],
                &missing[..missing.len() - common],
            );
            // The option is divided at its first equals sign.
            if !rename.from.contains('=') {
                *votes.entry(rename).or_default() += 1;
            }
        }
    }
    let mut proposed: Vec<(usize, Rename)> = votes
        .into_iter()
        .map(|(rename, votes)| (votes, rename))
        .collect();
    proposed.sort_by_key(|(votes, _)| Reverse(*votes));
    proposed.truncate(TRIED);
    proposed.into_iter().map(|(_, rename)| rename).collect()
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'/')
}

fn last_part(name: &str) -> &str {
    match name.bytes().rposition(is_separator) {
        Some(at) => &name[at + 1..],
        None => name,
    }
}

/// The length of the longest common end of two names that consists of whole parts of both.
fn common_end(first: &str, second: &str) -> usize {
    let equal = first
        .bytes()
        .rev()
        .zip(second.bytes().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let begins_a_part = |name: &str, length: usize| {
        length == name.len() || is_separator(name.as_bytes()[name.len() - length - 1])
    };
    let lengths = (1..=equal).rev();
    lengths
        .into_iter()
        .find(|&length| begins_a_part(first, length) && begins_a_part(second, length))
        .unwrap_or(0)
}
