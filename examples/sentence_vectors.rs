//! Vectors of sentences from a trained classifier: what its decoder sees. Similar sentences have similar vectors.
//!
//! ```sh
//! cargo run --release --example sentence_vectors
//! ```

use birnn::batch::Batch;
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::models::classifier::Activation;
use birnn::ops::dropout::Phase;
use candle_core::{Device, Tensor};
use std::path::Path;

/// One vector of length 1 for each text, [texts, pooled].
fn vectors(classifier: &SavedClassifier, texts: &[&str]) -> birnn::Result<Tensor> {
    let ids: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| classifier.encoder.encode(text))
        .collect::<birnn::Result<_>>()?;
    let batch = Batch::new(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let mut pooled = None;
    let mut keep = |activation: Activation, tensor: &Tensor| {
        if activation == Activation::Pooled {
            pooled = Some(tensor.clone());
        }
    };
    classifier
        .model
        .forward_with_hook(&batch, Phase::Inference, &mut keep)?;
    let pooled = pooled.expect("the model pools");
    // Inside the model texts are sorted by length.
    let order = batch
        .packing()
        .unsorted_indices()
        .into_iter()
        .map(|position| position as u32);
    let pooled = pooled.index_select(&Tensor::from_iter(order, pooled.device())?, 0)?;
    Ok(pooled.broadcast_div(&pooled.sqr()?.sum_keepdim(1)?.sqrt()?)?)
}

fn run() -> birnn::Result<Vec<Vec<f32>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pretrained");
    let classifier = SavedClassifier::load(&folder, Loading::Mapped, &Device::Cpu)?;
    let texts = [
        "A wonderful film, beautifully acted.",
        "I loved it!",
        "A dull and lifeless mess.",
    ];
    let vectors = vectors(&classifier, &texts)?;
    Ok(vectors.matmul(&vectors.t()?)?.to_vec2()?)
}

fn main() -> birnn::Result<()> {
    for row in run()? {
        println!("{row:.2?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn similar_sentences_have_similar_vectors() {
        let similarity = super::run().unwrap();
        assert!((similarity[0][0] - 1.0).abs() < 1e-4);
        assert!(similarity[0][1] > similarity[0][2] + 0.3, "{similarity:?}");
    }
}
