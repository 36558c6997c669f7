//! Several devices for one recipe: requests are shared out, each device with its own layers.

use std::cmp::Ordering;

use task_eval::{GenerateRequest, Score, ScoreRequest};

use crate::{Error, RecipeModel};

impl RecipeModel {
    /// This model and the same recipe on each further device.
    fn workers(&self) -> Vec<Self> {
        let runtimes = std::iter::once(&self.runtime).chain(self.runtime.further.iter());
        runtimes.map(|runtime| Self::new(runtime.clone(), self.recipe.clone())).collect()
    }

    pub(crate) fn score_on_all(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>, Error> {
        let order = |a: &ScoreRequest, b: &ScoreRequest| a.context.cmp(&b.context);
        let tokens = |request: &ScoreRequest| request.context.len() + request.continuation.len();
        self.on_all(requests, order, tokens, Self::score_requests)
    }

    pub(crate) fn generate_on_all(&self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, Error> {
        let order = |a: &GenerateRequest<'_>, b: &GenerateRequest<'_>| a.context.cmp(&b.context);
        let tokens = |request: &GenerateRequest<'_>| request.context.len() + request.max_new_tokens;
        self.on_all(requests, order, tokens, Self::generate_greedily)
    }

    /// Cuts the requests into shares of about equal tokens, neighbours in `order` together as they begin alike, and works on all
    /// shares at the same time. The answers are in the requests' order.
    fn on_all<R: Clone + Send + Sync, A: Send>(
        &self,
        requests: &[R],
        order: impl Fn(&R, &R) -> Ordering,
        tokens: impl Fn(&R) -> usize,
        work: impl Fn(&Self, &[R]) -> Result<Vec<A>, Error> + Sync,
    ) -> Result<Vec<A>, Error> {
        if self.runtime.further.is_empty() || requests.len() < 2 {
            return work(self, requests);
        }
        let workers = self.workers();
        let mut places: Vec<usize> = (0..requests.len()).collect();
        places.sort_by(|&a, &b| order(&requests[a], &requests[b]));
        let all: usize = requests.iter().map(&tokens).sum();
        let count = workers.len();
        let mut shares: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut before = 0;
        for place in places {
            shares[(before * count / all.max(1)).min(count - 1)].push(place);
            before += tokens(&requests[place]);
        }
        let found: Vec<Result<Vec<A>, Error>> = std::thread::scope(|scope| {
            let start = |(worker, share): (Self, &Vec<usize>)| {
                let (share, work): (Vec<R>, _) = (share.iter().map(|&place| requests[place].clone()).collect(), &work);
                scope.spawn(move || work(&worker, &share))
            };
            let threads: Vec<_> = workers.into_iter().zip(&shares).map(start).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        let mut answers: Vec<Option<A>> = requests.iter().map(|_| None).collect();
        for (share, found) in shares.iter().zip(found) {
            for (place, answer) in share.iter().zip(found?) {
                answers[*place] = Some(answer);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}
