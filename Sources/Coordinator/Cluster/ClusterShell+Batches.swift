import Engine
import Protocol
import Sampling

/// Requests from other threads: jobs, and batches of units, one after the other.
extension ClusterShell {
    func handle(_ command: ClusterCommand) {
        switch command {
        case .open(let job):
            jobs[job.message.id] = job
            turns.open(job.message.id, weight: job.weight)
        case .weigh(let job, let weight): turns.weigh(job, weight)
        case .run(let request, let job, let reports):
            submit(request, of: job, reports)
        case .begin(let views, let step, let job): begin(early: views, of: step, job)
        case .distrust(let site, let job, let reason, let reply):
            lastLoss = reason
            jobs[job]?.distrusted.insert(site)
            feed(.distrusted(site))
            reply.put(remaining)
        case .abandon(let job): drop(job)
        case .cancel(let job):
            jobs[job]?.isCancelled = true
            drop(job, because: RenderCancelled())
            turns.close(job)
        case .end(let job):
            let sites = jobs.removeValue(forKey: job)?.distrusted ?? []
            trust(sites)
            drop(job, because: Self.ended)
            turns.close(job)
        case .processEnded(let name, let process, let account):
            lastLoss = account
            if let peer = roster.find(name: name, process: process) {
                lose(peer, .vanished, account: account)
            }
        case .explained(let name): explain(name)
        case .probe(let request): begin(request)
        case .served(let served): deliver(served)
        case .closed: feed(.closed)
        case .stop: isStopping = true
        }
    }

    private static var ended: ClusterUnavailable { ClusterUnavailable("the job was ended") }

    private func submit(
        _ request: BatchRequest,
        of id: UInt64,
        _ reports: BlockingQueue<BatchReport>
    ) {
        guard let job = jobs[id] else { return reports.put(.failed(Self.ended)) }
        guard !job.isCancelled else { return reports.put(.failed(RenderCancelled())) }
        let isNext = batch.map { $0.reports === reports && $0.step + 1 == request.step } ?? false
        guard !isNext || !waiting.isEmpty else { return goOn(with: request) }
        waiting.append((request, id, reports))
        turns.submit(id)
        withdrawEarly(unlessOf: id)
        beginNext()
    }

    /// Continues the running batch with its next step.
    private func goOn(with request: BatchRequest) {
        guard let additions = batch?.request(request, sharedBy: 1) else { return }
        turns.goOn(at: now)
        board.beginViews()
        for (view, assignment) in batch?.assignments ?? [] { board.note(view: view, assignment) }
        add(additions)
        completeIfAnswered()
    }

    /// Begins views of a step that has not been requested yet, unless others wait for the workers.
    private func begin(early views: [EarlyView], of step: Int, _ job: UInt64) {
        guard waiting.isEmpty, let running = batch, running.job.message.id == job,
            running.step + 1 == step, let additions = batch?.begin(early: views)
        else { return }
        add(additions)
    }

    private func add(_ additions: [RunningBatch.Addition]) {
        guard let model = batch?.job.model else { return }
        keepEmbeddings(of: additions)
        for (rank, units) in additions.ranks {
            feed(
                .added(
                    units.map(\.id),
                    rank: rank,
                    costs: units.map { $0.unit.costElsewhere(model) },
                    checks: units.checks
                )
            )
        }
    }

    /// Withdraws what nobody has begun of a step that is not requested yet, because another job's batch waits.
    private func withdrawEarly(unlessOf job: UInt64) {
        guard let batch, batch.job.message.id != job else { return }
        let early = batch.early
        if !early.isEmpty { feed(.withdrawn(early)) }
    }

    /// Tells the render thread when everything that it requested is done.
    func completeIfAnswered() {
        if batch?.takeCompletion() == true { batch?.reports.put(.complete) }
    }

    private func keepEmbeddings(of additions: [RunningBatch.Addition]) {
        var seen: Set<EmbeddingDigest> = []
        for unit in additions.map(\.unit) {
            for digest in unit.embeddingDigests where seen.insert(digest).inserted {
                if let embedding = unit.embeddings[digest] { embeddings.insert(embedding) }
            }
        }
    }

    /// Begins the batch whose turn it is, unless one runs or waits for another job's batch that is about to come.
    func beginNext() {
        guard batch == nil else { return }
        while case .begin(let id) = turns.next(at: now) {
            guard let index = waiting.firstIndex(where: { $0.job == id }), let job = jobs[id] else {
                turns.ended(at: now)
                continue
            }
            let (request, _, reports) = waiting.remove(at: index)
            return begin(request, of: job, reports)
        }
    }

    /// Gives work again to sites that no other job distrusts.
    private func trust(_ sites: Set<HostID>) {
        for site in sites.sorted(by: { $0.text < $1.text })
        where !jobs.values.contains(where: { $0.distrusted.contains(site) }) {
            feed(.trusted(site))
            let active = Set(state.activeWorkers)
            for peer in roster.all where peer.site == site && active.contains(peer.worker) {
                board.update(peer.place) { $0.isActive = true }
            }
        }
    }

    private var remaining: RemainingWorkers {
        if state.hasWorkersLeft { return .others }
        // Whoever connects to a socket file is on this machine, which is one site.
        let mayOthersJoin =
            configuration.policy.mayOthersJoin && !state.isClosed && endpoint.path == nil
        guard mayOthersJoin else { return .nobody }
        return .noneYet(patience: configuration.policy.grace, endpoint: endpoint.address)
    }

    private var now: Duration { start.duration(to: .now) }

    /// The running batch has ended.
    func endBatch() {
        nextUnit = batch?.nextNumber ?? nextUnit
        batch = nil
        turns.ended(at: now)
    }

    func begin(
        _ request: BatchRequest,
        of job: OpenJob,
        _ reports: BlockingQueue<BatchReport>
    ) {
        var batch = RunningBatch(
            of: job,
            step: request.step,
            // Questions to single workers use the numbers before it.
            number: nextUnit + RunningBatch.numbersOfStep,
            reports: reports
        )
        let additions = batch.request(request, sharedBy: state.activeWorkers.count)
        self.batch = batch
        board.beginViews()
        keepEmbeddings(of: additions)
        guard !additions.isEmpty else {
            // All of it was begun early, and answered while it waited for its turn.
            completeIfAnswered()
            endBatch()
            return beginNext()
        }
        let units = additions.map(\.unit)
        // Checks of tiles are computed from the start, and nothing is kept.
        let hasTiles = units.contains { $0.tile != nil }
        feed(
            .submitted(
                additions.map(\.id),
                costs: units.map {
                    $0.tile == nil ? $0.costElsewhere(job.model) : $0.cost(job.model)
                },
                kind: units.first?.kind ?? .views,
                homes: !hasTiles
                    ? []
                    : units.map { unit in
                        .init(
                            worker: unit.tile.flatMap { job.homes[$0] },
                            costElsewhere: unit.costElsewhere(job.model)
                        )
                    },
                checks: additions.checks,
                ranks: additions.map(\.rank)
            )
        )
    }

    /// Ends the batches of a job.
    ///
    /// - Parameters:
    ///   - job: the job whose batches end
    ///   - error: for whoever waits for them; nil if nobody does
    func drop(_ job: UInt64, because error: (any Error)? = nil) {
        if let error {
            for batch in waiting where batch.job == job { batch.reports.put(.failed(error)) }
        }
        waiting.removeAll { $0.job == job }
        turns.withdraw(job)
        guard let running = batch, running.job.message.id == job else { return }
        if let error { running.reports.put(.failed(error)) }
        endBatch()
        feed(.cancelled)
        beginNext()
    }

    func fail(_ error: any Error) {
        batch?.reports.put(.failed(error))
        endBatch()
        beginNext()
    }
}

extension [RunningBatch.Addition] {
    fileprivate var ranks: [(rank: Int, units: Self)] {
        Dictionary(grouping: self, by: \.rank).sorted { $0.key < $1.key }.map { ($0, $1) }
    }

    /// The sites that may not have each of the checks.
    fileprivate var checks: [UnitID: Set<HostID>] {
        .init(uniqueKeysWithValues: compactMap { each in each.barred.map { (each.id, $0) } })
    }
}
