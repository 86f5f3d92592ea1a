//! Which dictionary of a pickle is the state dict.

use super::pickle::{Id, Pickle, Value};
use super::tensors::is_tensor;
use crate::error::{Error, Result, one_line};
use crate::parameters::rename::listed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The keys under which training programs usually keep a state dict, in the order in which they are preferred.
const USUAL: [&str; 2] = ["state_dict", "model_state_dict"];

/// How deep dictionaries are looked for, the root counted.
const DEPTH: usize = 3;

/// The chosen dictionary.
pub(super) struct Choice {
    /// Its tensors, by name.
    pub(super) entries: BTreeMap<String, Id>,
    /// What was taken and what not, to be added to the file's name.
    pub(super) origin: String,
}

/// A dictionary with tensors.
struct Candidate {
    /// The keys that lead to it, divided by full stops; empty for the root.
    key: String,
    tensors: BTreeMap<String, Id>,
    /// Its keys without a tensor.
    others: Vec<String>,
}

/// Chooses the dictionary under `key`; without one that under one of the usual keys, else the only one with tensors.
pub(super) fn choose(path: &Path, pickle: &Pickle, key: Option<&str>) -> Result<Choice> {
    let Value::Dictionary(pairs) = pickle.get(pickle.root()) else {
        return Err(Error::model(
            path,
            match pickle.get(pickle.root()) {
                Value::Call(..) => "this is a whole object, not its state dict",
                _ => "this is not a state dict",
            },
            "save it again in Python: torch.save(model.state_dict(), path)",
        ));
    };
    let mut search = Search {
        pickle,
        seen: BTreeSet::new(),
        candidates: Vec::new(),
    };
    search.collect(pairs, String::new(), DEPTH);
    let mut candidates = search.candidates;
    let keys: Vec<String> = candidates
        .iter()
        .map(|candidate| match candidate.key.as_str() {
            "" => "the file itself (key \"\")".to_owned(),
            key => format!("{key:?}"),
        })
        .collect();
    let is_wanted = |candidate: &Candidate| match key {
        Some(key) => candidate.key == key,
        None => USUAL.contains(&candidate.key.as_str()),
    };
    let chosen = match candidates.iter().position(is_wanted) {
        Some(chosen) => chosen,
        None if candidates.is_empty() => {
            return Err(Error::model(
                path,
                "there are no tensors in it",
                "save it again in Python: torch.save(model.state_dict(), path)",
            ));
        }
        None if key.is_none() && candidates.len() == 1 => 0,
        None => {
            let problem = match key {
                Some(key) => format!("there are no tensors under the key {:?}", one_line(key)),
                None => "there are several dictionaries of tensors in it".to_owned(),
            };
            let remedy = format!(
                "choose one by its key with `Weights::load_key`: {}",
                listed(&keys)
            );
            return Err(Error::model(path, problem, remedy));
        }
    };
    let others = others(pickle, pairs, &candidates[chosen]);
    let Candidate { key, tensors, .. } = candidates.swap_remove(chosen);
    let taken = match key.as_str() {
        "" => String::new(),
        key => format!(", key {}", one_line(key)),
    };
    let left = match &others[..] {
        [] => String::new(),
        others => format!(" (without {})", listed(others)),
    };
    Ok(Choice {
        entries: tensors,
        origin: taken + &left,
    })
}

/// The keys of the root, and of the chosen dictionary, that are not taken.
fn others(pickle: &Pickle, root: &[(Id, Id)], chosen: &Candidate) -> Vec<String> {
    let first = chosen.key.split('.').next().unwrap_or_default();
    let mut others = chosen.others.clone();
    if !chosen.key.is_empty() {
        let of_root = root.iter().filter_map(|(key, _)| match pickle.get(*key) {
            Value::Text(key) if *key != first => Some((*key).to_owned()),
            _ => None,
        });
        others.extend(of_root);
    }
    others
}

/// The search for dictionaries with tensors.
struct Search<'p, 'a> {
    pickle: &'p Pickle<'a>,
    /// Dictionaries that need not be searched again: a crafted file has them in each other.
    seen: BTreeSet<Id>,
    candidates: Vec<Candidate>,
}

impl Search<'_, '_> {
    /// Adds the dictionaries with tensors under these pairs, from the root down.
    fn collect(&mut self, pairs: &[(Id, Id)], key: String, depth: usize) {
        let pickle = self.pickle;
        let (mut tensors, mut others, mut inner) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, id) in pairs {
            let Value::Text(name) = pickle.get(*name) else {
                continue;
            };
            if is_tensor(pickle, *id) {
                tensors.insert((*name).to_owned(), *id);
                continue;
            }
            others.push((*name).to_owned());
            if let Value::Dictionary(pairs) = pickle.get(*id)
                && depth > 1
                && self.seen.insert(*id)
            {
                inner.push((*name, pairs));
            }
        }
        if !tensors.is_empty() {
            self.candidates.push(Candidate {
                key: key.clone(),
                tensors,
                others,
            });
        }
        for (name, pairs) in inner {
            let key = match key.as_str() {
                "" => name.to_owned(),
                key => format!("{key}.{name}"),
            };
            self.collect(pairs, key, depth - 1);
        }
    }
}
