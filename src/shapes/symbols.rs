//! The symbolic shapes of a config's tensors, with explanations.

use super::dim::{Dim, Symbol};
use crate::models::classifier::{Activation, EMBEDDING, ModelConfig};
use crate::models::ngrams::{NGRAM_BIAS, NGRAM_IDF, NGRAM_KEYS, NGRAMS};
use crate::ops::pooling::Pooling;
use crate::rnn::kernels::CellType;
use Symbol::{
    Batch, Classes, Directions, EmbeddingSize, Features, NumHiddens, Tokens, UsedRows, Vocabulary,
};

/// A symbolic shape and its explanation.
pub(super) type Described = (Vec<Dim>, String);

/// The gates of a cell type, in the order in which they are stacked.
pub(super) fn gates(cell_type: CellType) -> &'static [&'static str] {
    match cell_type {
        CellType::Lstm => &["i", "f", "g", "o"],
        CellType::Gru => &["r", "z", "n"],
        CellType::RnnTanh | CellType::RnnRelu => &["h"],
    }
}

/// The gates of a cell type in words.
fn gate_names(cell_type: CellType) -> &'static str {
    match cell_type {
        CellType::Lstm => "gates i, f, g, o: input, forget, cell input, output",
        CellType::Gru => "gates r, z, n: reset, update, new state",
        CellType::RnnTanh | CellType::RnnRelu => "one block: an RNN has no gates",
    }
}

/// The outputs of the layers below the decoder: `directions*num_hiddens`.
fn output_width() -> Dim {
    Dim::new(1, &[Directions, NumHiddens])
}

/// The number of features that the decoder reads, as a multiple of `num_hiddens`, and its explanation.
fn pooled(config: &ModelConfig) -> (Dim, String) {
    let factor = config.pooled_size() / config.num_hiddens;
    let directions = match config.directions() {
        1 => "one direction",
        _ => "two directions",
    };
    let of = |kind: &Pooling| match kind {
        Pooling::Ends => "first and last step",
        Pooling::Final => "the final state of each direction",
        Pooling::Mean => "mean over the steps",
        Pooling::Max => "maximum over the steps",
    };
    let kinds: Vec<&str> = config.pooling.iter().map(of).collect();
    let why = format!("{}, x {directions}", kinds.join(" and "));
    (Dim::new(factor, &[NumHiddens]), why)
}

/// The sort key of a parameter: the order in which the tokens pass through them, and within a layer PyTorch's order.
pub(super) fn sort_key(name: &str) -> (usize, String, usize) {
    let module = ["embedding", "encoder", "decoder", "ngrams"];
    let module = module.iter().position(|module| name.starts_with(module));
    let kinds = [
        "weight_ih",
        "weight_hh",
        "bias_ih",
        "bias_hh",
        ".weight",
        ".bias",
    ];
    let kind = kinds.iter().position(|kind| name.contains(kind));
    // `l0`, `l0_reverse`, `l1`: sorted by number, so that `l10` comes after `l9`.
    let layer = name.rsplit_once("_l").map_or("", |(_, layer)| layer);
    let (number, reverse) = layer.split_once('_').unwrap_or((layer, ""));
    let layer = format!("{number:0>4}{reverse}");
    (module.unwrap_or_default(), layer, kind.unwrap_or_default())
}

/// The parameter of this name.
pub(super) fn parameter(config: &ModelConfig, name: &str) -> Described {
    let (pooled, pooled_why) = pooled(config);
    match name {
        EMBEDDING => (
            vec![Vocabulary.into(), EmbeddingSize.into()],
            "a row for each token of the vocabulary".to_owned(),
        ),
        NGRAM_KEYS => (
            vec![Features.into(), 2.into()],
            "the n-gram of each row: 48 bits of its hash, in two halves".to_owned(),
        ),
        NGRAMS => (
            vec![Features.into(), Classes.into()],
            "the score of each n-gram for each class".to_owned(),
        ),
        NGRAM_IDF => (
            vec![Features.into()],
            "the weight of each n-gram: the fewer texts contain it, the higher".to_owned(),
        ),
        NGRAM_BIAS => (
            vec![Classes.into()],
            "the scores of a text without n-grams".to_owned(),
        ),
        "decoder.weight" => (vec![Classes.into(), pooled], pooled_why),
        "decoder.bias" => (vec![Classes.into()], "one number for each class".to_owned()),
        name => of_encoder(config, name),
    }
}

/// The same for `encoder.weight_ih_l0_reverse` and the like.
fn of_encoder(config: &ModelConfig, name: &str) -> Described {
    let stacked = Dim::new(gates(config.cell).len(), &[NumHiddens]);
    let end = match name.ends_with("_reverse") {
        true => ", in reverse",
        false => "",
    };
    let gates = gate_names(config.cell);
    if name.contains("weight_ih") {
        let (input, what) = match name.contains("_l0") {
            true => (EmbeddingSize.into(), "the embedded token"),
            false => (output_width(), "both directions of the layer below"),
        };
        let what = match (name.contains("_l0"), config.bidirectional) {
            (false, false) => "the layer below",
            _ => what,
        };
        (
            vec![stacked, input],
            format!("from {what} to the {gates}{end}"),
        )
    } else if name.contains("weight_hh") {
        let why = format!("from the previous hidden state to the {gates}{end}");
        (vec![stacked, NumHiddens.into()], why)
    } else {
        (
            vec![stacked],
            format!("a number for each unit of each gate{end}"),
        )
    }
}

/// The tensors of a forward pass.
pub(super) fn stage(config: &ModelConfig, stage: Activation) -> (String, Described) {
    let (pooled, pooled_why) = pooled(config);
    let state = || vec![Directions.into(), Batch.into(), NumHiddens.into()];
    let (name, shape, why) = match stage {
        Activation::Embedded => (
            "embedded".to_owned(),
            vec![Tokens.into(), EmbeddingSize.into()],
            "a row of embedding.weight for each token; packed, without padding".to_owned(),
        ),
        Activation::Output(layer) => (
            format!("output of layer {layer}"),
            vec![Tokens.into(), output_width()],
            match config.bidirectional {
                true => "h of every step: forward half, then reverse half".to_owned(),
                false => "h of every step".to_owned(),
            },
        ),
        Activation::Hidden(layer) => (
            format!("h_n of layer {layer}"),
            state(),
            "the final h of each direction: of the last step, for reverse of the first".to_owned(),
        ),
        Activation::Cell(layer) => (
            format!("c_n of layer {layer}"),
            state(),
            "the cell state of the same steps".to_owned(),
        ),
        Activation::Pooled => ("pooled".to_owned(), vec![Batch.into(), pooled], pooled_why),
        Activation::NgramScores => (
            "scores of n-grams".to_owned(),
            vec![Batch.into(), Classes.into()],
            "the sum of ngrams.weight over the n-grams of each text".to_owned(),
        ),
        Activation::Logits => (
            "logits".to_owned(),
            vec![Batch.into(), Classes.into()],
            match config.ngrams.is_on() {
                _ if config.ngrams.reads_text() => {
                    "pooled times decoder.weight, plus decoder.bias; the scores of the text's n-grams are added to them"
                }
                true => "pooled times decoder.weight, plus decoder.bias and the scores of n-grams",
                false => "pooled times decoder.weight, plus decoder.bias",
            }
            .to_owned(),
        ),
    };
    (name, (shape, why))
}

/// The gradient of a parameter: of the whole tensor or of the rows that a batch uses.
pub(super) fn gradient(config: &ModelConfig, name: &str, by_rows: bool) -> Described {
    match by_rows {
        true => (
            vec![UsedRows.into(), EmbeddingSize.into()],
            "only for the rows that the batch uses; the others have none".to_owned(),
        ),
        false => {
            let why = "the shape of the parameter, from which the optimizer subtracts its update";
            (parameter(config, name).0, why.to_owned())
        }
    }
}
