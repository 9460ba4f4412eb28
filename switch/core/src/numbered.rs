//! Values of what has a number from 0: networks, suppliers.
//!
//! Owns: `Numbered`, a list in which each value lies where its number says. Invariants: the last value was set, so lists that say the same are equal.
//! Deliberately absent: taking one out; what has a number keeps it for ever.

/// Values by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered<V>(Vec<Option<V>>);

impl<V> Default for Numbered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Numbered<V> {
    /// The value of a number; none where none was set.
    pub fn get(&self, number: u16) -> Option<&V> {
        self.0.get(usize::from(number))?.as_ref()
    }

    /// Sets the value of a number.
    pub fn set(&mut self, number: u16, value: V) {
        let number = usize::from(number);
        match self.0.get_mut(number) {
            Some(known) => *known = Some(value),
            None => {
                self.0.resize_with(number, || None);
                self.0.push(Some(value));
            }
        }
    }

    /// All values with their numbers, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &V)> + '_ {
        self.0.iter().zip(0..).filter_map(|(value, number)| Some((number, value.as_ref()?)))
    }
}

impl<V> FromIterator<(u16, V)> for Numbered<V> {
    fn from_iter<I: IntoIterator<Item = (u16, V)>>(values: I) -> Self {
        let mut numbered = Self::default();
        values.into_iter().for_each(|(number, value)| numbered.set(number, value));
        numbered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_there_in_the_order_of_the_numbers() {
        let mut numbered = Numbered::default();
        [(4, 'a'), (1, 'b'), (4, 'c')].into_iter().for_each(|(number, value)| numbered.set(number, value));
        assert_eq!(numbered.iter().collect::<Vec<_>>(), [(1, &'b'), (4, &'c')]);
        assert_eq!([numbered.get(0), numbered.get(4), numbered.get(5)], [None, Some(&'c'), None]);
        assert_eq!(numbered, [(1, 'b'), (4, 'c')].into_iter().collect());
    }
}
