//! The texts of an instance's rows while they are collected, each with the rows that have it.

use hashbrown::HashTable;

/// No run of rows: there are fewer.
pub(super) const NO_RUN: u32 = u32::MAX;

/// Texts numbered in the order in which they were first seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Dictionary {
    pub texts: Vec<Text>,
    /// Finds a text's number by the text, which is kept once.
    numbers: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// The number that was answered last: a publisher's messages come one after the other.
    last: u32,
}

/// One text.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub text: Box<str>,
    /// How many rows have it.
    pub count: u32,
    /// The last run of them; each run knows the one before it.
    pub last_run: u32,
    /// The bytes of the records of those that history shows.
    pub record_bytes: u64,
}

impl Dictionary {
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.find(self.hash(text), |&number| &*self.texts[number as usize].text == text).copied()
    }

    /// Notes that a row has the text, and answers the text's number.
    #[inline]
    pub(super) fn add(&mut self, text: &str, record_bytes: u32) -> u32 {
        let last = self.texts.get(self.last as usize).filter(|last| &*last.text == text);
        let number = match last {
            Some(_) => self.last,
            None => self.find(text).unwrap_or_else(|| self.insert(text)),
        };
        self.last = number;
        self.weigh(number, record_bytes);
        number
    }

    /// Notes that one more row has a text.
    #[inline]
    pub(super) fn weigh(&mut self, number: u32, record_bytes: u32) {
        let entry = &mut self.texts[number as usize];
        entry.count += 1;
        entry.record_bytes += u64::from(record_bytes);
    }

    /// Notes a run of rows that have the text, and answers the run before it.
    pub(super) fn begin_run(&mut self, number: u32, run: u32) -> u32 {
        std::mem::replace(&mut self.texts[number as usize].last_run, run)
    }

    fn insert(&mut self, text: &str) -> u32 {
        let number = u32::try_from(self.texts.len()).expect("there are no more texts than rows");
        self.texts.push(Text { text: text.into(), count: 0, last_run: NO_RUN, record_bytes: 0 });
        let Self { texts, numbers, hasher, .. } = self;
        let hash = |text: &str| std::hash::BuildHasher::hash_one(&*hasher, text);
        numbers.insert_unique(hash(text), number, |&number| hash(&texts[number as usize].text));
        number
    }

    fn hash(&self, text: &str) -> u64 {
        std::hash::BuildHasher::hash_one(&self.hasher, text)
    }

    /// The texts' numbers in the order of their bytes.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..).take(self.texts.len()).collect();
        order.sort_unstable_by(|&a, &b| self.texts[a as usize].text.cmp(&self.texts[b as usize].text));
        order
    }
}
