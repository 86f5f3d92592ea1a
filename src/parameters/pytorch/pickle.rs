//! Python's pickles, as far as dictionaries of tensors need them. Nothing in them is executed.
//!
//! Candle's own reader leaves out tensors of types that it does not know, with a line on stderr, and a crafted file
//! makes it panic, overflow the stack or allocate gigabytes. Here values refer to each other by number: nesting needs
//! no recursion and sharing no copies, and a pickle of n bytes makes at most n values.

use std::collections::HashMap;

/// The number of a value.
pub(super) type Id = usize;

/// A value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// A class or a function: its module and its name.
    Name(&'a str, &'a str),
    Integer(i64),
    Text(&'a str),
    /// Tuples, lists and sets.
    List(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    /// The result of a call, which is not made: what is called, and its arguments.
    Call(Id, Id),
    /// An object that the program which wrote the pickle keeps elsewhere, and its identification.
    Elsewhere(Id),
    /// Anything else.
    Other,
}

/// The values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle of a protocol from 2 to 5.
    ///
    /// # Errors
    /// The problem, for a pickle that is damaged or has an unknown operation.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            let operation = machine.take(1).ok_or("it is cut off")?[0];
            if operation == b'.' {
                break;
            }
            let at = machine.at - 1;
            let unknown = !OPERATIONS.contains(&operation);
            if unknown || machine.run(operation).is_none() {
                let kind = if unknown { "unknown" } else { "damaged" };
                return Err(format!(
                    "the operation {operation:#04x} at byte {at} of its pickle is {kind}"
                ));
            }
        }
        let root = machine.stack.pop().ok_or("its pickle holds nothing")?;
        Ok(Self {
            values: machine.values,
            root,
        })
    }

    /// The value that was pickled.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }
}

/// All operations that are read, those of the protocols 2 to 5 without what only extensions use.
const OPERATIONS: &[u8] =
    b"\x80\x95()]}\x8f01\x32NKJM\x8a\x8bG\x88\x89XUTBC\x8c\x8d\x8e\x96tldaesu\x85\x86\x87\x90\x91\
    c\x93qr\x94hjR\x81\x92bQ";

/// Python's machine that builds the values of a pickle.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Runs an operation; `None` if something that it needs is not there.
    fn run(&mut self, operation: u8) -> Option<()> {
        match operation {
            // The protocol; a frame, whose length is not needed.
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Some(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.items().map(drop),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
                Some(())
            }
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)
            }
            b'K' => self.integer(1),
            b'M' => self.integer(2),
            b'J' => {
                let value = i32::from_le_bytes(*self.take(4)?.first_chunk()?);
                self.push(Value::Integer(value.into()))
            }
            0x8a => self.long(1),
            0x8b => self.long(4),
            b'X' => self.text(4),
            0x8c => self.text(1),
            0x8d => self.text(8),
            // Bytes, whose content is not needed.
            b'U' | b'C' => self.opaque(1),
            b'T' | b'B' => self.opaque(4),
            0x8e | 0x96 => self.opaque(8),
            b')' | b']' | 0x8f => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b't' | b'l' | 0x91 => {
                let items = self.items()?;
                self.push(Value::List(items))
            }
            0x85..=0x87 => {
                let first = self
                    .stack
                    .len()
                    .checked_sub(usize::from(operation - 0x84))?;
                let items = self.stack.split_off(first);
                self.push(Value::List(items))
            }
            b'd' => {
                let items = self.items()?;
                let pairs = items.as_chunks().0.iter().map(|&[key, value]| (key, value));
                self.push(Value::Dictionary(pairs.collect()))
            }
            b'a' => {
                let item = self.pop()?;
                self.add(vec![item])
            }
            b'e' | 0x90 => {
                let items = self.items()?;
                self.add(items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.add(vec![key, value])
            }
            b'u' => {
                let items = self.items()?;
                self.add(items)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Name(module, name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (&Value::Text(module), &Value::Text(name)) => {
                        self.push(Value::Name(module, name))
                    }
                    _ => None,
                }
            }
            b'q' => self.remember(1),
            b'r' => self.remember(4),
            0x94 => {
                let number = u32::try_from(self.memo.len()).ok()?;
                self.memo.insert(number, *self.stack.last()?);
                Some(())
            }
            b'h' => self.recall(1),
            b'j' => self.recall(4),
            b'R' | 0x81 => self.call(),
            0x92 => {
                // The arguments by name are not needed.
                self.pop()?;
                self.call()
            }
            // The state of an object: its attributes, not its items.
            b'b' => {
                self.pop()?;
                self.stack.last().map(drop)
            }
            b'Q' => {
                let identification = self.pop()?;
                self.push(Value::Elsewhere(identification))
            }
            _ => None,
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    /// A length or a number without sign of up to 8 bytes.
    fn unsigned(&mut self, bytes: usize) -> Option<u64> {
        let mut number = [0; 8];
        number.get_mut(..bytes)?.copy_from_slice(self.take(bytes)?);
        Some(u64::from_le_bytes(number))
    }

    /// A run of bytes after its length.
    fn run_of_bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let length = self.unsigned(length)?;
        self.take(usize::try_from(length).ok()?)
    }

    /// The text up to the end of the line.
    fn line(&mut self) -> Option<&'a str> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|&byte| byte == b'\n')?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).ok()
    }

    fn push(&mut self, value: Value<'a>) -> Option<()> {
        self.stack.push(self.values.len());
        self.values.push(value);
        Some(())
    }

    /// The top of the stack, which does not go below the last mark.
    fn pop(&mut self) -> Option<Id> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > bottom {
            true => self.stack.pop(),
            false => None,
        }
    }

    /// What is above the last mark.
    fn items(&mut self) -> Option<Vec<Id>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn integer(&mut self, bytes: usize) -> Option<()> {
        let value = self.unsigned(bytes)?;
        self.push(Value::Integer(i64::try_from(value).ok()?))
    }

    /// A signed number of any length; one of more than 8 bytes is not needed.
    fn long(&mut self, length: usize) -> Option<()> {
        let bytes = self.run_of_bytes(length)?;
        let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut number = [if is_negative { 0xFF } else { 0 }; 8];
        let value = match number.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Integer(i64::from_le_bytes(number))
            }
            None => Value::Other,
        };
        self.push(value)
    }

    fn text(&mut self, length: usize) -> Option<()> {
        let bytes = self.run_of_bytes(length)?;
        // Python can write text that is not UTF-8; no name of a tensor is such.
        let value = std::str::from_utf8(bytes).map_or(Value::Other, Value::Text);
        self.push(value)
    }

    fn opaque(&mut self, length: usize) -> Option<()> {
        self.run_of_bytes(length)?;
        self.push(Value::Other)
    }

    /// Adds items to the list, or keys and values to the dictionary, at the top of the stack. Those of an object of
    /// another class are not needed.
    fn add(&mut self, items: Vec<Id>) -> Option<()> {
        match &mut self.values[*self.stack.last()?] {
            Value::List(list) => list.extend(items),
            Value::Dictionary(pairs) => {
                pairs.extend(items.as_chunks().0.iter().map(|&[key, value]| (key, value)));
            }
            _ => {}
        }
        Some(())
    }

    fn remember(&mut self, bytes: usize) -> Option<()> {
        let number = u32::try_from(self.unsigned(bytes)?).ok()?;
        self.memo.insert(number, *self.stack.last()?);
        Some(())
    }

    fn recall(&mut self, bytes: usize) -> Option<()> {
        let number = u32::try_from(self.unsigned(bytes)?).ok()?;
        self.stack.push(*self.memo.get(&number)?);
        Some(())
    }

    fn call(&mut self) -> Option<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let value = match self.values[callee] {
            // Its items follow.
            Value::Name("collections", "OrderedDict" | "defaultdict") => {
                Value::Dictionary(Vec::new())
            }
            _ => Value::Call(callee, arguments),
        };
        self.push(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `pickle.dumps` writes for `{"a": [1, -2, (3.5, None, True)], "b": 2**40, "c": b"xyz"}`.
    #[test]
    fn values_of_every_protocol() {
        let pickles: [&[u8]; 3] = [
            b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffG@\x0c\x00\x00\x00\x00\x00\x00N\x88\x87q\
              \x03eX\x01\x00\x00\x00bq\x04\x8a\x06\x00\x00\x00\x00\x00\x01X\x01\x00\x00\x00cq\x05c_codecs\nencode\nq\x06X\
              \x03\x00\x00\x00xyzq\x07X\x06\x00\x00\x00latin1q\x08\x86q\tRq\nu.",
            b"\x80\x04\x956\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffG@\x0c\x00\x00\x00\
              \x00\x00\x00N\x88\x87\x94e\x8c\x01b\x94\x8a\x06\x00\x00\x00\x00\x00\x01\x8c\x01c\x94C\x03xyz\x94u.",
            b"\x80\x05\x956\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffG@\x0c\x00\x00\x00\
              \x00\x00\x00N\x88\x87\x94e\x8c\x01b\x94\x8a\x06\x00\x00\x00\x00\x00\x01\x8c\x01c\x94C\x03xyz\x94u.",
        ];
        for bytes in pickles {
            let pickle = Pickle::read(bytes).unwrap();
            let Value::Dictionary(pairs) = pickle.get(pickle.root()) else {
                panic!("not a dictionary");
            };
            let keys: Vec<_> = pairs.iter().map(|(key, _)| pickle.get(*key)).collect();
            assert_eq!(
                keys,
                [&Value::Text("a"), &Value::Text("b"), &Value::Text("c")]
            );
            let Value::List(list) = pickle.get(pairs[0].1) else {
                panic!("not a list");
            };
            assert_eq!(*pickle.get(list[0]), Value::Integer(1));
            assert_eq!(*pickle.get(list[1]), Value::Integer(-2));
            assert!(matches!(pickle.get(list[2]), Value::List(items) if items.len() == 3));
            assert_eq!(*pickle.get(pairs[1].1), Value::Integer(1 << 40));
        }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for (bytes, problem) in [
            (&b""[..], "it is cut off"),
            (b"\x80\x02", "it is cut off"),
            (b"\x80\x02.", "its pickle holds nothing"),
            (
                b"\x80\x02}u.",
                "the operation 0x75 at byte 3 of its pickle is damaged",
            ),
            (
                b"X\xff\xff\xff\xffab",
                "the operation 0x58 at byte 0 of its pickle is damaged",
            ),
            (
                b"N(0.",
                "the operation 0x30 at byte 2 of its pickle is damaged",
            ),
            (
                b"h\x07.",
                "the operation 0x68 at byte 0 of its pickle is damaged",
            ),
            (
                b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa",
                "the operation 0x8d at byte 0 of its pickle is damaged",
            ),
            (
                b"PK",
                "the operation 0x50 at byte 0 of its pickle is unknown",
            ),
        ] {
            assert_eq!(Pickle::read(bytes).unwrap_err(), problem);
        }
    }

    #[test]
    fn deep_nesting_and_sharing_need_no_memory() {
        // A tuple in a tuple in a tuple, a million times.
        let mut bytes = b"N".to_vec();
        bytes.resize(1_000_000, 0x85);
        bytes.push(b'.');
        assert!(Pickle::read(&bytes).is_ok());
        // 2^1000 values, if sharing were copying.
        let mut bytes = b"N".to_vec();
        bytes.extend(b"2\x86".repeat(1000));
        bytes.push(b'.');
        assert!(Pickle::read(&bytes).is_ok());
    }
}
