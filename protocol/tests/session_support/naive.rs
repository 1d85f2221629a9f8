//! A second reading of RFC 1951, a bit at a time and without any cleverness, so that the server's own is not its only
//! witness. It panics at what is not deflate data, and at a reference beyond the window.

/// The blocks of a compressed message; `before` is what it may refer to, at most `window_bytes` back.
pub(crate) fn inflate(compressed: &[u8], before: &[u8], window_bytes: usize) -> Vec<u8> {
    let mut reader = Bits { bytes: [compressed, &[0, 0, 0xff, 0xff]].concat(), at: 0 };
    let mut plain = before.to_vec();
    // The tail that was put back is the content of a last block, whose first bits the message has.
    while reader.at < reader.bytes.len() * 8 {
        let is_final = reader.bit() == 1;
        match reader.number(2) {
            0 => stored(&mut reader, &mut plain),
            1 => {
                let literals: Vec<u8> = (0..288)
                    .map(|n| {
                        [8, 9, 7, 8]
                            [(n >= 144) as usize + (n >= 256) as usize + (n >= 280) as usize]
                    })
                    .collect();
                coded(&mut reader, &literals, &[5; 30], &mut plain, window_bytes);
            }
            2 => {
                let (literals, distances) = lengths(&mut reader);
                coded(&mut reader, &literals, &distances, &mut plain, window_bytes);
            }
            _ => panic!("a block of type 3"),
        }
        if is_final {
            reader.align();
        }
    }
    plain.split_off(before.len())
}

struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    fn number(&mut self, bits: usize) -> usize {
        (0..bits).map(|place| self.bit() << place).sum()
    }

    fn align(&mut self) {
        self.at = self.at.div_ceil(8) * 8;
    }

    /// The symbol of the next code: codes are counted up by length, and within a length by symbol (section 3.2.2).
    fn symbol(&mut self, lengths: &[u8]) -> usize {
        let (mut code, mut first) = (0, 0);
        for length in 1..=15 {
            code = code << 1 | self.bit();
            let of_length = lengths.iter().enumerate().filter(|(_, of)| **of == length);
            let symbols: Vec<usize> = of_length.map(|(symbol, _)| symbol).collect();
            if let Some(symbol) = code.checked_sub(first).and_then(|place| symbols.get(place)) {
                return *symbol;
            }
            first = (first + symbols.len()) << 1;
        }
        panic!("no such code");
    }
}

fn stored(reader: &mut Bits, plain: &mut Vec<u8>) {
    reader.align();
    let length = reader.number(16);
    assert_eq!(reader.number(16), !length & 0xffff, "the length and its complement");
    for _ in 0..length {
        plain.push(reader.number(8) as u8);
    }
}

fn lengths(reader: &mut Bits) -> (Vec<u8>, Vec<u8>) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances) = (reader.number(5) + 257, reader.number(5) + 1);
    let mut code_lengths = [0; 19];
    for place in &ORDER[..reader.number(4) + 4] {
        code_lengths[*place] = reader.number(3) as u8;
    }
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match reader.symbol(&code_lengths) {
            16 => (*lengths.last().expect("something to repeat"), 3 + reader.number(2)),
            17 => (0, 3 + reader.number(3)),
            18 => (0, 11 + reader.number(7)),
            length => (length as u8, 1),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    assert_eq!(lengths.len(), literals + distances);
    let distances = lengths.split_off(literals);
    (lengths, distances)
}

fn coded(
    reader: &mut Bits,
    literals: &[u8],
    distances: &[u8],
    plain: &mut Vec<u8>,
    window_bytes: usize,
) {
    loop {
        let symbol = reader.symbol(literals);
        match symbol {
            0..256 => plain.push(symbol as u8),
            256 => return,
            _ => {
                let length = match symbol - 257 {
                    28 => 258,
                    short @ 0..8 => 3 + short,
                    long => {
                        let extra = (long - 4) / 4;
                        3 + ((4 + long % 4) << extra) + reader.number(extra)
                    }
                };
                let distance = match reader.symbol(distances) {
                    short @ 0..4 => 1 + short,
                    long => {
                        let extra = (long - 2) / 2;
                        1 + ((2 + long % 2) << extra) + reader.number(extra)
                    }
                };
                assert!(distance <= window_bytes, "{distance} back in a window of {window_bytes}");
                for _ in 0..length {
                    plain.push(plain[plain.len() - distance]);
                }
            }
        }
    }
}
