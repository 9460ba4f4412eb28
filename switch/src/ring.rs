//! Rings: bounded queues between the actors, and the turn that drains them.
//!
//! Owns: `Ring`, a bounded queue with the waker of its one consumer, and `Turn`, the permanent future of an
//! actor. Invariants: a ring never grows and never blocks; it is sized by the credits of those who push, so
//! a full ring is a bug and `push` gives the item back; `wake` is called once a batch, never per item; both
//! ends may live on one thread. Deliberately absent: actix mailboxes, which carry control only (they bound
//! nothing and allocate for every message).

use actix::Actor;
use actix::fut::ActorFuture;
use atomic_waker::AtomicWaker;
use crossbeam::queue::ArrayQueue;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A bounded queue whose consumer is a future.
#[derive(Debug)]
pub struct Ring<T> {
    items: ArrayQueue<T>,
    waker: AtomicWaker,
}

impl<T> Ring<T> {
    /// A ring for `capacity` items, at least one: the sum of the credits of those who push.
    pub fn new(capacity: usize) -> Self {
        Self { items: ArrayQueue::new(capacity.max(1)), waker: AtomicWaker::new() }
    }

    /// Bytes that a ring for `capacity` items takes, all of them from the beginning: an item and its stamp each.
    pub const fn bytes(capacity: usize) -> usize {
        let slot = size_of::<(usize, T)>();
        (if capacity == 0 { 1 } else { capacity }) * slot
    }

    /// Puts an item in. The consumer learns of it at the next `wake`.
    ///
    /// # Errors
    /// The item, where the ring is full. Somebody pushed without a credit: count it, and answer for the item.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.items.push(item)
    }

    /// Takes the oldest item.
    pub fn pop(&self) -> Option<T> {
        self.items.pop()
    }

    /// Wakes the consumer. Call it once after a batch of pushes.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Makes `waker` the consumer's. Call it before the last look at the ring, or a push may go unseen.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Items in it now.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is in it now.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Most items that it holds.
    pub fn capacity(&self) -> usize {
        self.items.capacity()
    }
}

/// What an actor does in one turn: drain its rings, act, register its wakers.
pub type TurnFn<A> = fn(&mut A, &mut <A as Actor>::Context, &mut Context<'_>);

/// The permanent future of an actor: each poll is one turn, and it never ends. Spawn it once, in `started`.
pub struct Turn<A: Actor>(TurnFn<A>);

impl<A: Actor> Turn<A> {
    /// The future that calls `turn` whenever the actor is woken.
    pub fn new(turn: TurnFn<A>) -> Self {
        Self(turn)
    }
}

impl<A: Actor> ActorFuture<A> for Turn<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, actor: &mut A, ctx: &mut A::Context, task: &mut Context<'_>) -> Poll<()> {
        (self.0)(actor, ctx, task);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::{AsyncContext, Handler, Message};
    use std::sync::Arc;
    use tokio::sync::oneshot;

    #[test]
    fn a_full_ring_gives_the_item_back() {
        let ring = Ring::new(2);
        assert_eq!((ring.push(1), ring.push(2), ring.push(3)), (Ok(()), Ok(()), Err(3)));
        assert_eq!((ring.pop(), ring.len(), ring.capacity()), (Some(1), 1, 2));
    }

    struct Adder {
        ring: Arc<Ring<u64>>,
        sum: u64,
        until: u64,
        done: Option<oneshot::Sender<u64>>,
    }

    impl Adder {
        fn turn(&mut self, _: &mut actix::Context<Self>, cx: &mut Context<'_>) {
            self.ring.register(cx.waker());
            while let Some(item) = self.ring.pop() {
                self.sum += item;
            }
            if self.sum == self.until
                && let Some(done) = self.done.take()
            {
                let _ = done.send(self.sum);
            }
        }
    }

    impl Actor for Adder {
        type Context = actix::Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.spawn(Turn::new(Self::turn));
        }
    }

    struct Sum;

    impl Message for Sum {
        type Result = u64;
    }

    impl Handler<Sum> for Adder {
        type Result = u64;

        fn handle(&mut self, _: Sum, _: &mut Self::Context) -> u64 {
            self.sum
        }
    }

    #[test]
    fn what_another_thread_pushes_is_seen_by_the_turn() {
        const COUNT: u64 = 10_000;
        let ring = Arc::new(Ring::new(64));
        let pushes = ring.clone();
        let pusher = std::thread::spawn(move || {
            for mut item in 1..=COUNT {
                while let Err(back) = pushes.push(item) {
                    item = back;
                    pushes.wake();
                    std::thread::yield_now();
                }
                pushes.wake();
            }
        });
        actix_rt::System::new().block_on(async move {
            let (done, sum) = oneshot::channel();
            let until = COUNT * (COUNT + 1) / 2;
            let adder = Adder { ring, sum: 0, until, done: Some(done) }.start();
            assert_eq!(sum.await, Ok(until));
            assert_eq!(adder.send(Sum).await.ok(), Some(until));
        });
        pusher.join().unwrap();
    }
}
