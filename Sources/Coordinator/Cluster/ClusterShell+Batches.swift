import Engine
import Protocol

/// What other threads ask for: jobs, and batches of units, one after the other.
extension ClusterShell {
    func handle(_ command: ClusterCommand) {
        switch command {
        case .open(let job): jobs[job.message.id] = job
        case .run(let units, let job, let reports):
            waiting.append((units, job, reports))
            beginNext()
        case .abandon(let job): drop(job)
        case .cancel(let job):
            jobs[job]?.isCancelled = true
            drop(job, because: RenderCancelled())
        case .end(let job):
            jobs[job] = nil
            drop(job, because: ClusterUnavailable("the job was ended"))
        case .processEnded(let name, let process, let account):
            lastLoss = account
            if let peer = roster.find(name: name, process: process) {
                lose(peer, .vanished, account: account)
            }
        case .explained(let name): explain(name)
        case .served(let id, let key, let answer, let total):
            deliver(answer, to: id, key, total: total)
        case .closed: feed(.closed)
        case .stop: isStopping = true
        }
    }

    /// Begins the batch that has waited longest, unless one runs.
    func beginNext() {
        while batch == nil, !waiting.isEmpty {
            let (units, id, reports) = waiting.removeFirst()
            guard let job = jobs[id] else {
                reports.put(.failed(ClusterUnavailable("the job was ended")))
                continue
            }
            if job.isCancelled {
                reports.put(.failed(RenderCancelled()))
            } else {
                begin(units, of: job, reports)
            }
        }
    }

    func begin(
        _ requests: [WorkUnit],
        of job: OpenJob,
        _ reports: BlockingQueue<BatchReport>
    ) {
        let batch = RunningBatch(
            requests,
            of: job,
            first: nextUnit,
            sharedBy: state.activeWorkers.count,
            reports: reports
        )
        self.batch = batch
        let units = batch.units
        var seen: Set<EmbeddingDigest> = []
        for unit in units {
            for digest in unit.embeddingDigests where seen.insert(digest).inserted {
                if let embedding = unit.embeddings[digest] { embeddings.insert(embedding) }
            }
        }
        let ids = (0..<UInt64(units.count)).map { UnitID(nextUnit + $0) }
        nextUnit += UInt64(units.count)
        feed(
            .submitted(
                ids,
                costs: units.map { $0.cost(job.model) },
                kind: units.first?.kind ?? .views,
                homes: units.compactMap { unit in
                    unit.tile.map { tile in
                        .init(
                            worker: job.homes[tile],
                            costElsewhere: unit.costElsewhere(job.model)
                        )
                    }
                }
            )
        )
    }

    /// Ends the batches of a job.
    ///
    /// - Parameters:
    ///   - job: whose batches end
    ///   - error: for whoever waits for them; nil where nobody does
    func drop(_ job: UInt64, because error: (any Error)? = nil) {
        if let error {
            for batch in waiting where batch.job == job { batch.reports.put(.failed(error)) }
        }
        waiting.removeAll { $0.job == job }
        guard let running = batch, running.job.message.id == job else { return }
        if let error { running.reports.put(.failed(error)) }
        batch = nil
        feed(.cancelled)
        beginNext()
    }

    func fail(_ error: any Error) {
        batch?.reports.put(.failed(error))
        batch = nil
        beginNext()
    }
}
