//! How faithful explanations are: ERASER's comprehensiveness and sufficiency (DeYoung et al. 2020), beside a random order.
//!
//! ```sh
//! cargo bench -p birnn-benches --bench faithfulness -- REVIEWS [TEXTS] [MODEL]
//! ```
//!
//! REVIEWS is a table with texts, of which so many (500), evenly chosen, are explained, by the model in a folder or the one
//! that is part of the library. The words of a text are ordered by what they and their n-grams add to the predicted class.
//! Comprehensiveness is by how much the probability of that class falls without the first 1, 5, 10, 20 and 50 % of them,
//! sufficiency by how much it falls with only them; each is the mean over these shares and all texts. A good explanation has
//! a high comprehensiveness and a low sufficiency.

use birnn::data::{Source, SourceOptions};
use birnn::inference::{Classifier, ExplainSettings, Mark, Method};
use birnn::rng::{Rng, Stream};
use candle_core::Device;
use std::path::Path;
use std::time::Instant;

const SHARES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];
/// So many random orders of each text are averaged.
const RANDOM_ORDERS: u64 = 3;

/// A text as its words.
struct Words<'a> {
    text: &'a str,
    marks: Vec<Mark>,
    class: usize,
    /// The probability of the class for all words.
    probability: f64,
}

/// The sums of both measures over texts.
#[derive(Default)]
struct Sums {
    comprehensiveness: f64,
    sufficiency: f64,
    texts: u64,
}

impl Words<'_> {
    /// The text with only some of its words, each with what is before it.
    fn some(&self, is_kept: impl Fn(usize) -> bool) -> String {
        let (mut some, mut end) = (String::new(), 0);
        for (number, mark) in self.marks.iter().enumerate() {
            if is_kept(number) {
                some.push_str(&self.text[end..mark.place.end]);
            }
            end = mark.place.end;
        }
        some
    }

    /// Adds both measures for an order of the words.
    fn add(&self, order: &[usize], model: &Classifier, sums: &mut Sums) -> birnn::Result<()> {
        let mut rank = vec![0; order.len()];
        order
            .iter()
            .enumerate()
            .for_each(|(at, &word)| rank[word] = at);
        let mut texts = Vec::new();
        for share in SHARES {
            let first = ((share * order.len() as f64).round() as usize).max(1);
            texts.push(self.some(|word| rank[word] >= first));
            texts.push(self.some(|word| rank[word] < first));
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let falls: Vec<f64> = model
            .predict_proba(&texts)?
            .iter()
            .map(|scores| self.probability - f64::from(scores[self.class]))
            .collect();
        let mean =
            |first: usize| falls.iter().skip(first).step_by(2).sum::<f64>() / SHARES.len() as f64;
        sums.comprehensiveness += mean(0);
        sums.sufficiency += mean(1);
        sums.texts += 1;
        Ok(())
    }
}

fn main() -> birnn::Result<()> {
    // Cargo adds an argument of its own.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let Some(source) = arguments.next() else {
        eprintln!("give a table with texts; left out");
        return Ok(());
    };
    let most = arguments
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(500);
    let model = match arguments.next() {
        Some(folder) => Classifier::map_dir(Path::new(&folder), &Device::Cpu)?,
        None => Classifier::from(birnn::checkpoint::SavedClassifier::shipped(&Device::Cpu)?),
    };
    let source = Source::open(&source, SourceOptions::default())?;
    let name = source.split_names().next().unwrap_or("train").to_owned();
    let records = source.split(&name, &mut ())?.records;
    let number = records.len().min(most);
    let texts = (0..number).map(|index| records[index * records.len() / number].text.as_str());
    let texts: Vec<&str> = texts.collect();
    println!("{number} texts");
    println!("method                comprehensiveness  sufficiency  ms a text");
    let methods = [
        ("integrated gradients", Method::IntegratedGradients),
        ("gradient", Method::Gradient),
        ("occlusion", Method::Occlusion),
    ];
    let mut random = Sums::default();
    for (index, (name, method)) in methods.into_iter().enumerate() {
        let settings = ExplainSettings {
            method,
            ..ExplainSettings::default()
        };
        let (mut sums, mut seconds) = (Sums::default(), 0.0);
        for (number, text) in texts.iter().enumerate() {
            let started = Instant::now();
            let explanation = model.explain(text, &settings)?;
            seconds += started.elapsed().as_secs_f64();
            let mut words = Words {
                text,
                marks: explanation.marks(),
                class: explanation.class,
                probability: 0.0,
            };
            if words.marks.is_empty() {
                continue;
            }
            let whole = words.some(|_| true);
            words.probability = f64::from(model.predict_proba(&[&whole])?[0][words.class]);
            let mut order: Vec<usize> = (0..words.marks.len()).collect();
            order.sort_by(|&a, &b| {
                words.marks[b]
                    .contribution
                    .total_cmp(&words.marks[a].contribution)
            });
            words.add(&order, &model, &mut sums)?;
            for seed in 0..RANDOM_ORDERS * u64::from(index == 0) {
                Rng::new(seed, Stream::Shuffle, number as u64, 0).shuffle(&mut order);
                words.add(&order, &model, &mut random)?;
            }
        }
        print(name, &sums, Some(1000.0 * seconds / texts.len() as f64));
    }
    print("random", &random, None);
    Ok(())
}

fn print(name: &str, sums: &Sums, milliseconds: Option<f64>) {
    let texts = sums.texts.max(1) as f64;
    let time = milliseconds.map_or(String::new(), |time| format!("{time:.1}"));
    println!(
        "{name:<22}{:>17.3}{:>13.3}{time:>11}",
        sums.comprehensiveness / texts,
        sums.sufficiency / texts
    );
}
