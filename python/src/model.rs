//! A classifier as Python has it.

use crate::arrays::{array, matrix};
use crate::error::{OrRaise, wrong_argument};
use crate::texts::{Texts, one_text};
use crate::threads::{checked, compute};
use birnn::checkpoint::{ModelFiles, SavedClassifier};
use birnn::inference::{
    Classifier, ExplainSettings, ExplanationRecord, Method, Prediction, Predictor,
};
use birnn::recipe::coverage_notes;
use birnn::text::Coverage;
use candle_core::Device;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::{Path, PathBuf};

/// A classifier, with the contents of its files.
#[pyclass(frozen, module = "birnn._native")]
pub(crate) struct Model {
    files: ModelFiles,
    classifier: Classifier,
}

impl Model {
    pub(crate) fn load(
        py: Python<'_>,
        name: &Path,
        files: ModelFiles,
        device: &Device,
    ) -> PyResult<Self> {
        let saved = compute(py, None, || {
            SavedClassifier::from_files(name, &files, device)
        })?;
        let classifier = Classifier::from(saved.or_raise(py)?);
        Ok(Self { files, classifier })
    }
}

/// The device of this name.
pub(crate) fn device(py: Python<'_>, name: &str) -> PyResult<Device> {
    birnn::device::device(name).or_raise(py)
}

#[pymethods]
impl Model {
    /// The model that is part of this package.
    #[staticmethod]
    fn shipped(py: Python<'_>, device_name: &str) -> PyResult<Self> {
        let files = ModelFiles::shipped().or_raise(py)?;
        Self::load(
            py,
            Path::new("the shipped model"),
            files,
            &device(py, device_name)?,
        )
    }

    /// The model in a folder.
    #[staticmethod]
    fn from_folder(py: Python<'_>, folder: PathBuf, device_name: &str) -> PyResult<Self> {
        let files = py.detach(|| ModelFiles::read(&folder)).or_raise(py)?;
        Self::load(py, &folder, files, &device(py, device_name)?)
    }

    /// The model of the contents of its files.
    #[staticmethod]
    fn from_bytes(
        py: Python<'_>,
        config: Vec<u8>,
        tokenizer: Vec<u8>,
        weights: Vec<u8>,
        name: PathBuf,
        device_name: &str,
    ) -> PyResult<Self> {
        let files = ModelFiles::new(config, tokenizer, weights);
        Self::load(py, &name, files, &device(py, device_name)?)
    }

    /// The contents of its files: `config.json`, `tokenizer.json`, `model.safetensors`.
    fn files<'py>(&self, py: Python<'py>) -> [Bound<'py, PyBytes>; 3] {
        self.files
            .contents()
            .map(|content| PyBytes::new(py, content))
    }

    /// The SHA-256 of the contents of its files.
    fn hash(&self, py: Python<'_>) -> String {
        py.detach(|| self.files.hash())
    }

    /// Writes its files to a folder.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        py.detach(|| self.files.write(&folder)).or_raise(py)
    }

    /// Its name in messages.
    #[getter]
    fn name(&self) -> PathBuf {
        self.classifier.parts().name.clone()
    }

    /// The names of its classes.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.classifier.labels().names().to_vec()
    }

    /// Whether a text may have several labels.
    #[getter]
    fn has_several_labels(&self) -> bool {
        self.classifier.thresholds().is_some()
    }

    /// The probability of each class from which on a text has it.
    #[getter]
    fn thresholds(&self) -> Option<Vec<f64>> {
        self.classifier.parts().thresholds.clone()
    }

    /// The divisor of the logits before the softmax.
    #[getter]
    fn temperature(&self) -> f64 {
        self.classifier.parts().temperature
    }

    /// Whether it has an n-gram head that reads texts.
    #[getter]
    fn has_ngrams(&self) -> bool {
        self.classifier.parts().model.text_ngrams().is_some()
    }

    /// Classifies texts: a dict of arrays by text, and lines about what was not read.
    fn classify<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
        allow_missing: bool,
        threads: Option<i64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let threads = checked(py, threads)?;
        let texts = Texts::of(texts)?;
        let all = texts.all();
        if !allow_missing {
            let remedy =
                "leave them out, or give missing=\"null\" for predictions that are missing too";
            texts.present(py, remedy)?;
        }
        let present: Vec<&str> = all.iter().flatten().copied().collect();
        let found = compute(py, threads, || self.classifier.predict(&present))?.or_raise(py)?;
        let results = Results::new(&all, &found, self.classifier.labels().len());
        results.into_dict(py, self.classifier.thresholds().is_some())
    }

    /// Explains a text, as JSON.
    fn explain(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        method: &str,
        class: Option<&str>,
        points: usize,
        threads: Option<i64>,
    ) -> PyResult<String> {
        let threads = checked(py, threads)?;
        let text = one_text(text)?;
        let text: &str = &text;
        let method = match method {
            "ig" => Method::IntegratedGradients,
            "gradient" => Method::Gradient,
            "occlusion" => Method::Occlusion,
            other => {
                let problem = format!(
                    "method: {other:?}, but there are \"ig\", \"gradient\" and \"occlusion\""
                );
                return Err(wrong_argument(py, problem));
            }
        };
        let names = self.classifier.labels().names();
        let class = class.map(|name| {
            self.classifier.labels().class_of(name).ok_or_else(|| {
                let problem = format!(
                    "label: there is no class {name:?}: the classes are {}",
                    names.join(", ")
                );
                wrong_argument(py, problem)
            })
        });
        let settings = ExplainSettings {
            method,
            class: class.transpose()?,
            points,
            most_points: points.saturating_mul(16),
        };
        let found = compute(py, threads, || {
            self.classifier.predict_and_explain(text, &settings)
        })?;
        let (prediction, explanation) = found.or_raise(py)?;
        let record = ExplanationRecord::new(text, &prediction, &explanation, names, method);
        serde_json::to_string(&record).map_err(|error| wrong_argument(py, error.to_string()))
    }
}

/// Predictions as arrays, a row for each text; those of a missing text are missing too.
struct Results {
    classes: Vec<i64>,
    members: Vec<Vec<u8>>,
    scores: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
    tokens: Vec<i64>,
    read: Vec<i64>,
    unknown: Vec<i64>,
    notes: Vec<String>,
    width: usize,
}

impl Results {
    fn new(texts: &[Option<&str>], found: &[Prediction], classes: usize) -> Self {
        let coverage: Coverage = found.iter().map(|prediction| prediction.reading).collect();
        let mut found = found.iter();
        let all: Vec<Option<&Prediction>> = texts
            .iter()
            .map(|text| text.and_then(|_| found.next()))
            .collect();
        fn each<T>(all: &[Option<&Prediction>], of: impl Fn(&Prediction) -> T, missing: T) -> Vec<T>
        where
            T: Clone,
        {
            let each = all.iter();
            each.map(|prediction| prediction.map_or_else(|| missing.clone(), &of))
                .collect()
        }
        let nothing = vec![f32::NAN; classes];
        let member = |prediction: &Prediction| {
            let mut row = vec![0; classes];
            prediction.classes.iter().for_each(|&class| row[class] = 1);
            row
        };
        Self {
            classes: each(&all, |prediction| prediction.class as i64, -1),
            members: each(&all, member, vec![0; classes]),
            scores: each(
                &all,
                |prediction| prediction.scores.clone(),
                nothing.clone(),
            ),
            logits: each(&all, |prediction| prediction.logits.clone(), nothing),
            tokens: each(&all, |prediction| prediction.reading.tokens as i64, -1),
            read: each(&all, |prediction| prediction.reading.read as i64, -1),
            unknown: each(&all, |prediction| prediction.reading.unknown as i64, -1),
            notes: coverage_notes(&coverage, "texts"),
            width: classes,
        }
    }

    fn into_dict(self, py: Python<'_>, several: bool) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        let texts = self.classes.len();
        dict.set_item("classes", array(py, &self.classes, &[texts]))?;
        if several {
            dict.set_item("members", matrix(py, &self.members, self.width))?;
        }
        dict.set_item("scores", matrix(py, &self.scores, self.width))?;
        dict.set_item("logits", matrix(py, &self.logits, self.width))?;
        dict.set_item("tokens", array(py, &self.tokens, &[texts]))?;
        dict.set_item("read", array(py, &self.read, &[texts]))?;
        dict.set_item("unknown_tokens", array(py, &self.unknown, &[texts]))?;
        dict.set_item("notes", self.notes)?;
        Ok(dict)
    }
}
