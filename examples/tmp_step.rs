use birnn::{
    batch::Batch, dropout::Phase, loss::cross_entropy, model::*, optim::*, parameters::Parameters,
};
use candle_core::Device;
use std::time::Instant;
fn main() {
    let (b, t, v) = (64, 500, 49346u32);
    let cfg = ModelConfig::default();
    let (model, params) =
        Parameters::create(1, &Device::Cpu, |vb| BiRnn::new(&cfg, v as usize, 2, vb)).unwrap();
    let mut s = 12345u64;
    let seqs: Vec<Vec<u32>> = (0..b)
        .map(|_| {
            (0..t)
                .map(|_| {
                    s = s.wrapping_mul(6364136223846793005).wrapping_add(1);
                    ((s >> 33) % v as u64) as u32
                })
                .collect()
        })
        .collect();
    let refs: Vec<&[u32]> = seqs.iter().map(|x| x.as_slice()).collect();
    let batch = Batch::new(&refs).unwrap();
    let labels: Vec<u32> = (0..b).map(|i| i % 2).collect();
    let mut opt = AdamW::new(AdamWConfig::default());
    for _ in 0..5 {
        let t0 = Instant::now();
        let table = RowTable::new(params.get(EMBEDDING).unwrap(), batch.packed_ids()).unwrap();
        let x = table.lookup().unwrap();
        let t1 = t0.elapsed();
        let logits = model
            .forward_embedded(&x, batch.packing(), Phase::Training { seed: 1, step: 1 })
            .unwrap();
        let loss = cross_entropy(&logits, &labels, 0.).unwrap();
        let t2 = t0.elapsed();
        let mut store = loss.backward().unwrap();
        let t3 = t0.elapsed();
        let mut g = Gradients::default();
        g.insert(EMBEDDING, table.gradient(&mut store).unwrap());
        for (n, var) in params.iter() {
            if n != EMBEDDING {
                g.insert(n, Gradient::Dense(store.remove(var).unwrap()));
            }
        }
        let norm = g.norm().unwrap();
        opt.step(&params, &g, 0.01, 1.0).unwrap();
        println!(
            "emb {:?} fwd {:?} bwd {:?} total {:?} norm {norm}",
            t1,
            t2 - t1,
            t3 - t2,
            t0.elapsed()
        );
    }
    let m = BiRnn::new(&cfg, v as usize, 2, params.detached()).unwrap();
    for _ in 0..3 {
        let t0 = Instant::now();
        m.forward(&batch, Phase::Inference).unwrap();
        println!("infer {:?}", t0.elapsed());
    }
}
