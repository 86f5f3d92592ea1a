//! Every number of the settings that is out of range is refused by name, on every way into the library: none of them
//! becomes a NaN later.

use birnn::config::{Config, TrainerConfig};
use birnn::dataset::{Dataset, Encoded, TextDataset};
use birnn::fs::cache::Cache;
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::models::language::{LanguageConfig, RnnModel};
use birnn::models::ngrams::NgramFit;
use birnn::optim::{AdamW, AdamWConfig, Ema, Gradient, Gradients};
use birnn::parameters::Parameters;
use birnn::recipe::{ClassifierRecipe, LanguageRecipe, Recipe};
use birnn::train::classifier::{ClassifierTask, Learner, initial_model, set_ngrams};
use birnn::train::language::{
    LanguageLearner, LanguageTraining, Stream, Unigrams, initial_language_model,
};
use birnn::train::{InMemory, Trainer};
use candle_core::{DType, Device, Tensor};
use std::fmt::Debug;

const CPU: Device = Device::Cpu;

const BAD: [f64; 4] = [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// The dotted keys whose values are numbers with a fraction.
fn float_keys() -> Vec<String> {
    fn collect(prefix: &str, value: &toml::Value, keys: &mut Vec<String>) {
        for (name, value) in value.as_table().into_iter().flatten() {
            let key = format!("{prefix}{name}");
            collect(&format!("{key}."), value, keys);
            if value.is_float() {
                keys.push(key);
            }
        }
    }
    let mut keys = Vec::new();
    let all = toml::Value::try_from(Config::default()).unwrap();
    collect("", &all, &mut keys);
    keys
}

/// A config that no one has checked.
fn unchecked(key: &str, number: f64) -> Config {
    let mut all = toml::Value::try_from(Config::default()).unwrap();
    let mut value = &mut all;
    for name in key.split('.') {
        value = &mut value[name];
    }
    *value = number.into();
    all.try_into().unwrap()
}

fn parts() -> (BiRnn, Parameters) {
    let config = ModelConfig {
        embedding_size: 2,
        num_hiddens: 2,
        ..ModelConfig::default()
    };
    Parameters::create(0, &CPU, |vb| BiRnn::new(&config, 5, 2, vb)).unwrap()
}

/// Whether a way into the library refuses a setting by its name.
fn refuses<T: Debug>(result: birnn::Result<T>, name: &str) -> bool {
    result.is_err_and(|error| error.to_string().starts_with(&format!("{name}: ")))
}

#[test]
fn no_float_of_a_config_is_taken_out_of_range() {
    let keys = float_keys();
    assert!(keys.len() > 25, "{keys:?}");
    let mut accepted = Vec::new();
    for key in &keys {
        for bad in BAD {
            // Of all numbers, only this may be negative.
            if key.ends_with(".forget_bias") && bad == -1.0 {
                continue;
            }
            let config = unchecked(key, bad);
            let name = format!("configuration, {key}");
            let text = [(key.clone(), format!("{bad:?}").to_lowercase())];
            assert!(refuses(config.validate(), &name), "{key} = {bad}");
            let mut check = |way: &str, refused: bool| {
                if !refused {
                    accepted.push(format!("{way}: {key} = {bad}"));
                }
            };
            check("from_toml", refuses(Config::from_toml(None, &text), &name));
            let cache = Cache::off();
            let recipe = ClassifierRecipe::begin(&config, &cache, &CPU, None, &mut ());
            check("ClassifierRecipe", refuses(recipe, &name));
            let recipe = LanguageRecipe::begin(&config, &cache, &CPU, None, &mut ());
            check("LanguageRecipe", refuses(recipe, &name));
            match key.split('.').next() {
                Some("train") => {
                    let learner = Learner::new(&config.train, 0, parts());
                    check("Learner", refuses(learner, &name));
                    let model = initial_model(&config, 5, 2, None, &CPU);
                    check("initial_model", refuses(model, &name));
                }
                Some("pretrain") => {
                    let unigrams = Unigrams::new([&[1, 2][..]], 5).unwrap();
                    let model = initial_language_model(&config, &unigrams, None, &CPU);
                    check("initial_language_model", refuses(model, &name));
                }
                Some("data") => {
                    check(
                        "Dataset",
                        refuses(Dataset::load(&config, &cache, &mut ()), &name),
                    );
                    let texts = TextDataset::load(&config, &cache, &mut ());
                    check("TextDataset", refuses(texts, &name));
                }
                _ => {}
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

/// The numbers that a program gives the optimizer, the averages and the loop itself.
#[test]
fn no_float_below_the_config_is_taken_out_of_range() {
    let mut accepted = Vec::new();
    let mut check = |name: &str, bad: f64, refused: bool| {
        if !refused {
            accepted.push(format!("{name} = {bad}"));
        }
    };
    let adamw = |constants: AdamWConfig, rate: f64, scale: f64| {
        let (_, parameters) = parts();
        let mut gradients = Gradients::default();
        let ones = Tensor::ones(2, DType::F32, &CPU).unwrap();
        gradients.insert("decoder.bias", Gradient::Dense(ones));
        let mut optimizer = AdamW::new(constants);
        let result = optimizer.step(&parameters, &gradients, rate, scale);
        assert_eq!(optimizer.steps(), u64::from(result.is_ok()));
        result
    };
    let usual = AdamWConfig::default();
    let stream = Stream::new(&[1, 2, 0, 1, 2, 0, 1, 2], 1, 3).unwrap();
    let language = |training: LanguageTraining| {
        let config = LanguageConfig::default();
        let model = Parameters::create(0, &CPU, |vb| RnnModel::new(&config, 3, vb)).unwrap();
        LanguageLearner::new(model, training).epoch(&stream, &CPU)
    };
    let encoded = Encoded {
        ids: vec![vec![1, 2], vec![3]].into(),
        labels: vec![0, 1].into(),
        ..Encoded::default()
    };
    let mut settings = Config::default();
    (settings.model.embedding_size, settings.model.num_hiddens) = (2, 2);
    let run = |config: TrainerConfig| {
        let task = ClassifierTask::new(&settings, parts(), &encoded, &encoded, 2, 1).unwrap();
        Trainer::new(task, config).run(&mut InMemory::default(), &mut ())
    };
    let usual_run = TrainerConfig::classifier(&settings);
    run(usual_run.clone()).unwrap();
    language(LanguageTraining::default()).unwrap();
    for bad in BAD {
        let beta1 = AdamWConfig {
            beta1: bad,
            ..usual
        };
        let beta2 = AdamWConfig {
            beta2: bad,
            ..usual
        };
        let epsilon = AdamWConfig {
            epsilon: bad,
            ..usual
        };
        let weight_decay = AdamWConfig {
            weight_decay: bad,
            ..usual
        };
        for (name, constants) in [
            ("beta1", beta1),
            ("beta2", beta2),
            ("epsilon", epsilon),
            ("weight_decay", weight_decay),
        ] {
            check(name, bad, refuses(adamw(constants, 0.1, 1.0), name));
            let training = LanguageTraining {
                optimizer: constants,
                ..LanguageTraining::default()
            };
            check(name, bad, refuses(language(training), name));
        }
        let result = adamw(usual, bad, 1.0);
        check("learning_rate", bad, refuses(result, "learning_rate"));
        check("scale", bad, refuses(adamw(usual, 0.1, bad), "scale"));
        let training = LanguageTraining {
            learning_rate: bad,
            ..LanguageTraining::default()
        };
        let result = refuses(language(training), "learning_rate");
        check("LanguageTraining::learning_rate", bad, result);
        let training = LanguageTraining {
            clip_norm: bad,
            ..LanguageTraining::default()
        };
        let result = refuses(language(training), "clip_norm");
        check("LanguageTraining::clip_norm", bad, result);
        let averages = Ema::new(bad, &parts().1, |_| true);
        check("decay", bad, refuses(averages, "decay"));

        let mut config = usual_run.clone();
        config.clip_norm = bad;
        let result = refuses(run(config), "configuration, train.clip_norm");
        check("TrainerConfig::clip_norm", bad, result);
        let mut config = usual_run.clone();
        config.schedule.peak = bad;
        let result = refuses(run(config), "configuration, train.learning_rate");
        check("TrainerConfig::schedule.peak", bad, result);
        let mut config = usual_run.clone();
        config.schedule.warmup = bad;
        let result = refuses(run(config), "configuration, train.warmup");
        check("TrainerConfig::schedule.warmup", bad, result);
    }
    // Zero in single precision, so that a gradient of 0 would be divided by 0.
    let epsilon = AdamWConfig {
        epsilon: 1e-50,
        ..usual
    };
    let result = adamw(epsilon, 0.1, 1.0);
    check("epsilon", 1e-50, refuses(result, "epsilon"));
    let text = [("train.epsilon".to_owned(), "1e-50".to_owned())];
    let result = Config::from_toml(None, &text);
    let refused = refuses(result, "configuration, train.epsilon");
    check("train.epsilon", 1e-50, refused);
    type Change = fn(&mut TrainerConfig);
    let counts: [(&str, Change); 4] = [
        ("epochs", |config| config.epochs = 0),
        ("accumulate", |config| config.accumulate = 0),
        ("batch_size", |config| config.batching.texts = 0),
        ("log_every", |config| config.log_every = 0),
    ];
    for (name, set_to_zero) in counts {
        let mut config = usual_run.clone();
        set_to_zero(&mut config);
        let refused = refuses(run(config), &format!("configuration, train.{name}"));
        check(name, 0.0, refused);
    }
    let config = LanguageConfig::default();
    let built = Parameters::create(0, &CPU, |vb| RnnModel::new(&config, 0, vb));
    check("vocabulary_size", 0.0, refuses(built, "vocabulary_size"));

    let mut config = ModelConfig::default();
    (config.ngrams.order, config.ngrams.features) = (1, 1);
    let (_, parameters) = Parameters::create(0, &CPU, |vb| BiRnn::new(&config, 5, 2, vb)).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let fit = NgramFit {
            keys: vec![0.0, 1.0],
            weights: vec![1.0, bad],
            idf: Vec::new(),
            bias: Vec::new(),
        };
        let refused = refuses(set_ngrams(&parameters, &fit), "ngrams.weight");
        check("ngrams.weight", f64::from(bad), refused);
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}
