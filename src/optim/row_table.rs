//! The rows of a table as a leaf of Candle's graph, for reference implementations in tests.

use super::Gradient;
use crate::error::Result;
use crate::ops::gather::{UsedRows, check_ids, select_rows};
use candle_core::{Tensor, Var};

/// The rows of a table that a batch uses, as a small table of their own, whose gradient has the
/// size of the batch rather than of the vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct RowTable {
    used: UsedRows,
    /// The values of the used rows, [rows, columns].
    table: Var,
}

impl RowTable {
    /// The rows of `table` that are used.
    ///
    /// # Errors
    /// A row that the table does not have, or a failing tensor operation.
    pub(crate) fn new(table: &Tensor, used: &UsedRows) -> Result<Self> {
        Ok(Self {
            table: {
                check_ids(used.rows().last(), table)?;
                let rows = used.rows().on(table.device())?;
                Var::from_tensor(&table.detach().index_select(&rows, 0)?)?
            },
            used: used.clone(),
        })
    }

    /// The row of every id, [ids, columns].
    ///
    /// # Errors
    /// A tensor operation fails.
    pub(crate) fn lookup(&self) -> Result<Tensor> {
        select_rows(&self.table, self.used.indices().clone())
    }

    /// The gradient of the rows after a backward pass.
    pub(crate) fn gradient(
        &self,
        store: &mut candle_core::backprop::GradStore,
    ) -> Option<Gradient> {
        let values = store.remove(&self.table)?;
        Some(Gradient::Rows {
            rows: self.used.rows().clone(),
            values,
        })
    }
}

mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::Device;

    #[test]
    fn a_row_table_has_the_gradient_of_the_whole_table() {
        let whole = Var::from_tensor(&normal_tensor(1, &[10, 3])).unwrap();
        let ids = [7, 2, 2, 9, 7, 2];
        let upstream = normal_tensor(2, &[6, 3]);
        let loss = |rows: &Tensor| (rows * &upstream).unwrap().sum_all().unwrap();

        let selected = whole.index_select(&Tensor::new(&ids, &Device::Cpu).unwrap(), 0);
        let dense = loss(&selected.unwrap()).backward().unwrap();
        let dense: Vec<Vec<f32>> = dense.get(&whole).unwrap().to_vec2().unwrap();

        let table = RowTable::new(&whole, &UsedRows::new(&ids)).unwrap();
        let mut store = loss(&table.lookup().unwrap()).backward().unwrap();
        let Some(Gradient::Rows { rows, values }) = table.gradient(&mut store) else {
            panic!("no gradient by rows");
        };
        assert_eq!(*rows, [2, 7, 9]);
        for (row, values) in rows.iter().zip(values.to_vec2::<f32>().unwrap()) {
            assert_eq!(values, dense[*row as usize]);
        }
        assert!(RowTable::new(&whole, &UsedRows::new(&[10])).is_err());
    }
}
