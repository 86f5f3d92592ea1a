//! How long the library takes to classify the lines of a file: what `benches/python.py` compares with.
//!
//! ```sh
//! cargo bench -p birnn-benches --bench predict_texts -- texts.txt 3
//! ```
//!
//! Prints the seconds of each time. The texts are read, and the shipped model loaded, before.

use birnn::checkpoint::SavedClassifier;
use birnn::inference::Classifier;
use candle_core::Device;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let (Some(file), Some(times)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: predict_texts FILE TIMES");
        return;
    };
    let content = std::fs::read_to_string(&file).expect("the file can be read");
    let texts: Vec<&str> = content.lines().collect();
    let times: usize = times.parse().expect("a number of times");
    let classifier = Classifier::from(
        SavedClassifier::shipped(&Device::Cpu).expect("it is part of the library"),
    );
    for _ in 0..times {
        let began = Instant::now();
        let found = classifier.predict(&texts).expect("all texts can be read");
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(found.len(), texts.len());
        println!("{seconds}");
    }
}
