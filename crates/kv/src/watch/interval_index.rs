//! Which ranges hold a key: an interval tree of our own.
//!
//! A treap (Aragon and Seidel, 1989): a search tree by start and end, balanced by priorities as if the
//! ranges had come in random order. The priorities come from a counter, mixed, so that the same calls make
//! the same tree. Each node knows how far its subtree reaches, so that a search for the ranges that hold a
//! key passes over what ends before it: logarithmic, plus what is found.

use bytes::Bytes;

use crate::span::End;

const NONE: u32 = u32::MAX;

/// Ranges, each with a number.
#[derive(Debug)]
pub(super) struct IntervalIndex {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    inserted: u64,
}

#[derive(Debug)]
struct Node {
    start: Bytes,
    end: End,
    /// The furthest end in the subtree.
    reach: End,
    priority: u64,
    left: u32,
    right: u32,
    value: u32,
}

impl Default for IntervalIndex {
    fn default() -> IntervalIndex {
        IntervalIndex {
            nodes: Vec::new(),
            free: Vec::new(),
            root: NONE,
            inserted: 0,
        }
    }
}

impl IntervalIndex {
    /// Adds a range that is not there yet. It is no single key, and its end comes after its start.
    pub(super) fn insert(&mut self, start: Bytes, end: End, value: u32) {
        self.inserted += 1;
        let node = Node {
            reach: end.clone(),
            priority: mix(self.inserted),
            left: NONE,
            right: NONE,
            start,
            end,
            value,
        };
        let (less, greater) = self.split(self.root, &node.start, &node.end);
        let number = match self.free.pop() {
            Some(number) => {
                self.nodes[number as usize] = node;
                number
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("watchers are fewer than that")
            }
        };
        let less = self.merge(less, number);
        self.root = self.merge(less, greater);
    }

    /// Takes a range away.
    pub(super) fn remove(&mut self, start: &[u8], end: &End) {
        self.root = self.remove_from(self.root, start, end);
    }

    /// Calls `found` with the number of each range that holds `key`, in the order of their starts.
    /// `stack` is room to work in, kept from call to call.
    pub(super) fn ranges_with(&self, key: &[u8], stack: &mut Vec<u32>, mut found: impl FnMut(u32)) {
        stack.clear();
        let mut next = self.root;
        loop {
            while next != NONE && is_after(&self.node(next).reach, key) {
                stack.push(next);
                next = self.node(next).left;
            }
            let Some(number) = stack.pop() else { return };
            let node = self.node(number);
            if node.start.as_ref() > key {
                // So do all that are left on the stack, and what is to their right.
                return;
            }
            if is_after(&node.end, key) {
                found(node.value);
            }
            next = node.right;
        }
    }

    fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    fn is_less(&self, number: u32, start: &[u8], end: &End) -> bool {
        let node = self.node(number);
        match node.start.as_ref().cmp(start) {
            std::cmp::Ordering::Equal => ends_before(&node.end, end),
            ordering => ordering.is_lt(),
        }
    }

    /// Those of a subtree that come before a range, and the others.
    fn split(&mut self, number: u32, start: &[u8], end: &End) -> (u32, u32) {
        if number == NONE {
            return (NONE, NONE);
        }
        if self.is_less(number, start, end) {
            let (less, greater) = self.split(self.node(number).right, start, end);
            self.nodes[number as usize].right = less;
            self.update(number);
            (number, greater)
        } else {
            let (less, greater) = self.split(self.node(number).left, start, end);
            self.nodes[number as usize].left = greater;
            self.update(number);
            (less, number)
        }
    }

    /// One tree of two, of which all of one come before all of the other.
    fn merge(&mut self, less: u32, greater: u32) -> u32 {
        if less == NONE || greater == NONE {
            return if less == NONE { greater } else { less };
        }
        if self.node(less).priority > self.node(greater).priority {
            let right = self.merge(self.node(less).right, greater);
            self.nodes[less as usize].right = right;
            self.update(less);
            less
        } else {
            let left = self.merge(less, self.node(greater).left);
            self.nodes[greater as usize].left = left;
            self.update(greater);
            greater
        }
    }

    fn remove_from(&mut self, number: u32, start: &[u8], end: &End) -> u32 {
        assert!(
            number != NONE,
            "the range from \"{}\" to {end:?} is not in the index",
            start.escape_ascii()
        );
        let node = self.node(number);
        if node.start == start && node.end == *end {
            let (left, right) = (node.left, node.right);
            self.free.push(number);
            return self.merge(left, right);
        }
        if self.is_less(number, start, end) {
            let right = self.remove_from(node.right, start, end);
            self.nodes[number as usize].right = right;
        } else {
            let left = self.remove_from(node.left, start, end);
            self.nodes[number as usize].left = left;
        }
        self.update(number);
        number
    }

    fn update(&mut self, number: u32) {
        let node = self.node(number);
        let mut reach = &node.end;
        for child in [node.left, node.right] {
            if child != NONE && ends_before(reach, &self.node(child).reach) {
                reach = &self.node(child).reach;
            }
        }
        let reach = reach.clone();
        self.nodes[number as usize].reach = reach;
    }
}

/// Whether a range with this end, and a start not after `key`, holds it.
fn is_after(end: &End, key: &[u8]) -> bool {
    match end {
        End::Before(end) => key < end.as_ref(),
        End::Never => true,
        End::AtStart => unreachable!("a single key is no range"),
    }
}

fn ends_before(one: &End, other: &End) -> bool {
    match (one, other) {
        (End::Before(one), End::Before(other)) => one < other,
        (End::Before(_), _) => true,
        _ => false,
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
