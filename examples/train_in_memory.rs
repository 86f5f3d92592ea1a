//! A classifier trained on 100 texts, without a file of its own.
//!
//! ```sh
//! cargo run --release --example train_in_memory
//! ```

use birnn::config::Config;
use birnn::data::{Source, SourceOptions, hold_out};
use birnn::dataset::Dataset;
use birnn::recipe::ClassifierRecipe;
use candle_core::Device;

fn main() -> birnn::Result<()> {
    // Any texts with labels will do: `Split` and `Record` are plain structs.
    let mut texts = Source::open("sample", SourceOptions::default())?.split("train", &mut ())?;
    texts.records.truncate(100);
    let (train, validation) = hold_out(texts, 0.2, 0)?;

    let mut config = Config::default();
    (config.model.embedding_size, config.model.num_hiddens) = (32, 32);
    config.train.learning_rate = 0.003;
    (config.train.epochs, config.train.batch_size) = (20, 8);
    let dataset = Dataset::of_splits(&config, train, validation)?;
    let recipe = ClassifierRecipe::begin_with(&config, dataset, &Device::Cpu, None, &mut ())?;
    let classifier = recipe.train_in_memory(&mut ())?;

    let predictions = classifier.predict(&["A warm, funny film."])?;
    println!(
        "{} ({:.2})",
        classifier.label(&predictions[0]),
        predictions[0].score()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
