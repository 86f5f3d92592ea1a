//! The n-gram head among the parameters of a classifier.

use crate::error::Result;
use crate::models::ngrams::{
    NGRAM_BIAS, NGRAM_IDF, NGRAM_KEYS, NGRAMS, NgramConfig, Ngrams, TextNgrams, Weighting,
};
use candle_nn::{Init, VarBuilder};

/// The n-gram head of a model, if it has one: of its tokens, or of its texts.
pub(super) fn of(
    config: NgramConfig,
    classes: usize,
    vb: &VarBuilder,
) -> Result<(Option<Ngrams>, Option<TextNgrams>)> {
    if !config.is_on() {
        return Ok((None, None));
    }
    let (features, zeros) = (config.features, Init::Const(0.0));
    let keys = vb.get_with_hints((features, 2), NGRAM_KEYS, zeros)?;
    let table = vb.get_with_hints((features, classes), NGRAMS, zeros)?;
    Ok(match config.weighting {
        Weighting::NaiveBayes => (Some(Ngrams::new(config, &keys, &table)?), None),
        Weighting::TfIdf => {
            let idf = vb.get_with_hints(features, NGRAM_IDF, zeros)?;
            let bias = vb.get_with_hints(classes, NGRAM_BIAS, zeros)?;
            let head = TextNgrams::new(config, (&keys, &idf), (&table, &bias))?;
            (None, Some(head))
        }
    })
}
