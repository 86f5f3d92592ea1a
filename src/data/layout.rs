//! From file names to splits: `plain_text/train-00000-of-00001.parquet` is a shard of `train`.

use std::collections::BTreeMap;

use super::format::FileName;
use crate::error::{Error, Result};

/// A split and the paths of its files, in order.
pub(super) type Plan = Vec<(String, Vec<String>)>;

/// The canonical name of a split with a well-known name: `dev` is `validation`.
pub(super) fn known_split(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "validation" | "valid" | "val" | "dev" => Some("validation"),
        "test" | "testing" => Some("test"),
        "unsupervised" | "unsup" => Some("unsupervised"),
        _ => None,
    }
}

/// The well-known split that a data file is by its name, as a whole file or a shard.
pub(super) fn known_split_of_file(name: &str) -> Option<&'static str> {
    known_split(&parse(name)?.split)
}

/// A split's name, in canonical spelling if it is a well-known one.
pub(super) fn split_name(name: &str) -> String {
    known_split(name).map_or_else(|| name.to_owned(), str::to_owned)
}

/// The sort key of a split in a listing: order of use, then alphabetical order.
pub(super) fn split_order(name: &str) -> (usize, &str) {
    let known = ["train", "validation", "test"];
    let rank = known.iter().position(|&known| known == name);
    (rank.unwrap_or(known.len()), name)
}

/// What the path of a file within a data set implies.
#[derive(Debug, PartialEq, Eq)]
struct DataFile {
    /// The folders above, which distinguish subsets: `plain_text`, or empty.
    subset: String,
    split: String,
    shard: Shard,
}

/// Whether a file is a whole split or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shard {
    Whole,
    /// One of an unknown number of files.
    Part,
    /// One of this many files.
    PartOf(usize),
}

/// Parses a path with `/` between its parts; `None` if it is not a data file.
fn parse(path: &str) -> Option<DataFile> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Spark: `part-00000-(hash).c000.snappy.parquet`, of texts `part-00000`.
    let part = name
        .strip_prefix("part-")
        .or_else(|| name.strip_prefix("part-r-"));
    if part.is_some_and(|part| part.get(..5).is_some_and(digits)) {
        return Some(DataFile {
            subset: String::new(),
            split: split_of_folder(folders),
            shard: Shard::Part,
        });
    }
    let stem = FileName::parse(name)?.stem;
    // `refs/convert/parquet` on the hub: `plain_text/train/0000.parquet`.
    if digits(stem) && !folders.is_empty() {
        let (subset, split) = folders.rsplit_once('/').unwrap_or(("", folders));
        return Some(DataFile {
            subset: subset.to_owned(),
            split: split_name(split.strip_prefix("partial-").unwrap_or(split)),
            shard: Shard::Part,
        });
    }
    // `train-00000-of-00002`, in older repositories followed by `-` and a hash.
    let parts: Vec<&str> = stem.split('-').collect();
    let of = parts.iter().rposition(|&part| part == "of");
    if let Some(of) = of
        && let (2.., Some(total)) = (of, parts.get(of + 1))
        && digits(parts[of - 1])
        && digits(total)
        && parts.len() <= of + 3
    {
        // The `datasets` library on disk: `train/data-00000-of-00001.arrow`.
        if parts[..of - 1] == ["data"] && name.ends_with(".arrow") {
            return Some(DataFile {
                subset: String::new(),
                split: split_of_folder(folders),
                shard: total.parse().map_or(Shard::Part, Shard::PartOf),
            });
        }
        return Some(DataFile {
            subset: folders.to_owned(),
            split: split_name(&parts[..of - 1].join("-")),
            shard: total.parse().map_or(Shard::Part, Shard::PartOf),
        });
    }
    Some(DataFile {
        subset: folders.to_owned(),
        split: split_name(stem),
        shard: Shard::Whole,
    })
}

/// The split that a folder of shards is: its own name if that is a known one, else `train`.
fn split_of_folder(folders: &str) -> String {
    let name = folders.rsplit('/').next().unwrap_or_default();
    known_split(name).unwrap_or("train").to_owned()
}

/// Groups data files by split, in the order train, validation, test, then the rest.
///
/// Files in several folders are several subsets: the requested one is taken, else the only one,
/// else one with a usual name. Paths that are not data files are skipped; if there are none, there
/// are no splits.
///
/// # Errors
/// The subset does not exist or must be chosen; shards are missing; or two files claim one split.
pub(super) fn plan(paths: &[String], subset: Option<&str>, origin: &str) -> Result<Plan> {
    let mut found: Vec<(DataFile, &String)> = paths
        .iter()
        .filter_map(|path| Some((parse(path)?, path)))
        .collect();
    if found.is_empty() {
        return Ok(Plan::new());
    }
    found.sort_by(|a, b| a.1.cmp(b.1));
    let mut subsets: Vec<&str> = found.iter().map(|(file, _)| &*file.subset).collect();
    subsets.sort_unstable();
    subsets.dedup();
    let has = |name: &str| subsets.contains(&name);
    let usual = ["", "default", "plain_text", "data"];
    let chosen = match (subset, &subsets[..]) {
        (Some(name), _) => Some(name).filter(|name| has(name)),
        (None, [only]) => Some(*only),
        (None, _) => usual.into_iter().find(|name| has(name)),
    };
    let Some(chosen) = chosen.map(str::to_owned) else {
        let problem = match subset {
            Some(name) => format!("there is no subset {name:?}"),
            None => "there are several subsets".to_owned(),
        };
        return Err(Error::data(
            origin,
            format!("{problem}; the subsets are: {}", subsets.join(", ")),
            "choose one with --subset NAME (key data.subset)",
        ));
    };
    found.retain(|(file, _)| file.subset == chosen);

    let mut splits: BTreeMap<String, Vec<(Shard, &String)>> = BTreeMap::new();
    for (file, path) in found {
        let files = splits.entry(file.split).or_default();
        files.push((file.shard, path));
    }
    for (split, files) in &splits {
        if files.len() > 1 && files.iter().any(|(shard, _)| *shard == Shard::Whole) {
            let files: Vec<&str> = files.iter().map(|(_, path)| path.as_str()).collect();
            return Err(Error::data(
                origin,
                format!(
                    "several files claim the split {split:?}: {}",
                    files.join(", ")
                ),
                "keep one of them, or give the file itself",
            ));
        }
        let incomplete = |shard| matches!(shard, Shard::PartOf(total) if total != files.len());
        if let Some(&(Shard::PartOf(total), _)) = files.iter().find(|file| incomplete(file.0)) {
            return Err(Error::data(
                origin,
                format!(
                    "{} of {total} files of the split {split:?} are present",
                    files.len()
                ),
                "download the missing ones",
            ));
        }
    }
    let mut plan: Plan = splits
        .into_iter()
        .map(|(split, files)| {
            (
                split,
                files.into_iter().map(|(_, path)| path.clone()).collect(),
            )
        })
        .collect();
    plan.sort_by(|a, b| split_order(&a.0).cmp(&split_order(&b.0)));
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(paths: &[&str], subset: Option<&str>) -> std::result::Result<Plan, String> {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        plan(&paths, subset, "here").map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_parsed() {
        let planned = |path| {
            let file = parse(path)?;
            Some((file.subset, file.split, file.shard))
        };
        let expect = |subset: &str, split: &str, shard| Some((subset.into(), split.into(), shard));
        assert_eq!(
            planned("plain_text/train-00000-of-00002.parquet"),
            expect("plain_text", "train", Shard::PartOf(2))
        );
        assert_eq!(
            planned("data/test-00000-of-00001-2f0a.parquet"),
            expect("data", "test", Shard::PartOf(1))
        );
        assert_eq!(
            planned("default/partial-train/0003.parquet"),
            expect("default", "train", Shard::Part)
        );
        assert_eq!(
            planned("dev.tsv.gz"),
            expect("", "validation", Shard::Whole)
        );
        assert_eq!(planned("0001.csv"), expect("", "0001", Shard::Whole));
        assert_eq!(
            planned("best-of-2020.csv"),
            expect("", "best-of-2020", Shard::Whole)
        );
        assert_eq!(planned("README.md"), None);
    }

    #[test]
    fn splits_and_shards_are_in_order() {
        let plan = planned(
            &[
                "README.md",
                "p/unsupervised-00000-of-00001.parquet",
                "p/test-00000-of-00001.parquet",
                "p/train-00001-of-00002.parquet",
                "p/train-00000-of-00002.parquet",
            ],
            None,
        )
        .unwrap();
        let names: Vec<&str> = plan.iter().map(|(split, _)| &**split).collect();
        assert_eq!(names, ["train", "test", "unsupervised"]);
        assert_eq!(
            plan[0].1,
            [
                "p/train-00000-of-00002.parquet",
                "p/train-00001-of-00002.parquet"
            ]
        );
    }

    #[test]
    fn subsets_are_chosen() {
        let paths = ["cola/train.parquet", "sst2/train.parquet"];
        assert_eq!(
            planned(&paths, Some("sst2")).unwrap()[0].1,
            ["sst2/train.parquet"]
        );
        assert_eq!(
            planned(&paths, None).unwrap_err(),
            "here: there are several subsets; the subsets are: cola, sst2; choose one with \
             --subset NAME (key data.subset)"
        );
        assert!(
            planned(&paths, Some("x"))
                .unwrap_err()
                .contains("no subset \"x\"")
        );
        let usual = ["data/train.parquet", "other/train.parquet"];
        assert_eq!(planned(&usual, None).unwrap()[0].1, ["data/train.parquet"]);
    }

    #[test]
    fn doubtful_files_are_refused() {
        assert_eq!(
            planned(&["train-00001-of-00002.parquet"], None).unwrap_err(),
            "here: 1 of 2 files of the split \"train\" are present; download the missing ones"
        );
        assert_eq!(
            planned(&["train.csv", "train.tsv"], None).unwrap_err(),
            "here: several files claim the split \"train\": train.csv, train.tsv; keep one of \
             them, or give the file itself"
        );
    }
}
