//! A model made from the bytes of its three files, used by two threads at once.
//!
//! ```sh
//! cargo run --release --example classify_in_threads
//! ```

use birnn::inference::Classifier;
use candle_core::Device;

fn main() -> birnn::Result<()> {
    let config = include_bytes!("../data/pretrained/config.json");
    let tokenizer = include_bytes!("../data/pretrained/tokenizer.json");
    let weights = include_bytes!("../data/pretrained/model.safetensors").as_slice();
    let classifier = Classifier::from_bytes(config, tokenizer, weights, &Device::Cpu)?;
    let shared = classifier.clone(); // Cheap: both use the same weights.
    let other = std::thread::spawn(move || shared.predict(&["I want my money back."]));
    println!("{:?}", classifier.predict(&["Not bad at all!"])?);
    println!("{:?}", other.join().expect("it does not panic")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
