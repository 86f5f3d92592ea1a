//! Behaviour tests after `CheckList` (Ribeiro, Wu, Guestrin and Singh 2020): what a model must be able to do, stated by texts
//! that are made from templates.
//!
//! | module | what it holds |
//! |---|---|
//! | `suite` | the tests of a file |
//! | `template` | texts with places to be filled |
//! | `change` | changes of texts after which a prediction must stay, or move in one direction |
//! | `run` | what a model makes of them |

mod change;
mod run;
mod suite;
mod template;

pub use run::{BehaviourFailure, BehaviourReport, BehaviourTest, check_behaviour};
pub use suite::{BehaviourKind, BehaviourSuite};
