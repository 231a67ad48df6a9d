//! Runs the steps of a scenario on virtual time.
//!
//! Scenarios are `async` functions, because they read like what they do: start this, sleep, check
//! that; and some have clients that work at the same time. The executor is as small as one can be:
//! a task waits only for a time or for another task, so each has exactly one event that polls it
//! again, in the same queue as everything else that happens. No waker is ever used.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quorate_raft::Instant;

use super::cluster::{Cluster, Event};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A cluster, and the tasks that work with it.
pub(crate) struct Executor {
    pub(crate) cluster: RefCell<Cluster>,
    tasks: RefCell<BTreeMap<usize, Task>>,
    next_task: Cell<usize>,
    current: Cell<usize>,
}

/// Why a scenario did not come to its end by itself.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The state machines disagree, or a server refused a message.
    Broken(String),
    /// It took longer than it may.
    TimedOut,
}

/// A task's result, to be awaited.
pub(crate) struct Joined<T> {
    slot: Rc<Slot<T>>,
}

struct Slot<T> {
    result: RefCell<Option<T>>,
    waiter: Cell<Option<usize>>,
}

impl Executor {
    pub(crate) fn new(cluster: Cluster) -> Rc<Executor> {
        Rc::new(Executor {
            cluster: RefCell::new(cluster),
            tasks: RefCell::default(),
            next_task: Cell::new(0),
            current: Cell::new(0),
        })
    }

    /// Begins a task; it runs when the present one waits.
    pub(crate) fn spawn<T: 'static>(
        self: &Rc<Executor>,
        work: impl Future<Output = T> + 'static,
    ) -> Joined<T> {
        let slot = Rc::new(Slot {
            result: RefCell::new(None),
            waiter: Cell::new(None),
        });
        let (executor, filled) = (Rc::clone(self), Rc::clone(&slot));
        let task = async move {
            let result = work.await;
            filled.result.replace(Some(result));
            if let Some(waiter) = filled.waiter.take() {
                executor.wake_now(waiter);
            }
        };
        let id = self.next_task.replace(self.next_task.get() + 1);
        self.tasks.borrow_mut().insert(id, Box::pin(task));
        self.wake_now(id);
        Joined { slot }
    }

    fn wake_now(&self, task: usize) {
        let mut cluster = self.cluster.borrow_mut();
        cluster.after(Duration::ZERO, Event::Task(task));
    }

    /// Waits so long.
    pub(crate) async fn sleep(&self, time: Duration) {
        let until = self.cluster.borrow().now + time;
        let mut is_planned = false;
        poll_fn(|_| {
            let mut cluster = self.cluster.borrow_mut();
            if is_planned {
                assert!(cluster.now >= until, "polled by someone else's event");
                return Poll::Ready(());
            }
            is_planned = true;
            cluster.at(until, Event::Task(self.current.get()));
            Poll::Pending
        })
        .await;
    }

    /// Waits for a task.
    pub(crate) async fn join<T>(&self, joined: Joined<T>) -> T {
        poll_fn(|_| match joined.slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                joined.slot.waiter.set(Some(self.current.get()));
                Poll::Pending
            }
        })
        .await
    }

    /// Runs everything until this work is done, at most for `limit`.
    pub(crate) fn run<T: 'static>(
        self: &Rc<Executor>,
        work: impl Future<Output = T> + 'static,
        limit: Duration,
    ) -> Result<T, Stopped> {
        let main = self.spawn(work);
        let end = Instant::ZERO + limit;
        let result = loop {
            if let Some(result) = main.slot.result.take() {
                break Ok(result);
            }
            if let Err(stopped) = self.step(end) {
                break Err(stopped);
            }
        };
        // Tasks hold the executor that holds them.
        let left_over = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(left_over);
        result
    }

    fn step(&self, end: Instant) -> Result<(), Stopped> {
        let event = self.cluster.borrow_mut().next();
        let event = event.expect("a scenario waits for something");
        if self.cluster.borrow().now > end {
            return Err(Stopped::TimedOut);
        }
        match event {
            Event::Task(id) => self.poll(id),
            event => self.cluster.borrow_mut().handle(event),
        }
        match self.cluster.borrow_mut().broken.take() {
            Some(what) => Err(Stopped::Broken(what)),
            None => Ok(()),
        }
    }

    fn poll(&self, id: usize) {
        // Out of the map meanwhile, since it may begin others.
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else {
            return;
        };
        self.current.set(id);
        let mut context = Context::from_waker(Waker::noop());
        if task.as_mut().poll(&mut context).is_pending() {
            self.tasks.borrow_mut().insert(id, task);
        }
    }
}
