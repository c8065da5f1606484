import Service
import Testing

/// Who goes next, what is refused, and what is deleted.
@Suite struct QueueTests {
    private typealias Entry = QueueOrder.Entry

    private func order(_ entries: [Entry], loaded: String? = nil, _ shares: FairShare = .init())
        -> String?
    {
        QueueOrder.next(entries, loaded: loaded, shares: shares)?.id
    }

    @Test func nothingIsNext() { #expect(order([]) == nil) }

    @Test func oldestGoesFirstAndPriorityBeforeAge() {
        let (a, b) = (Entry(id: "a", number: 2, user: "u"), Entry(id: "b", number: 1, user: "u"))
        #expect(order([a, b]) == "b")
        #expect(order([a, b, Entry(id: "c", number: 3, user: "u", priority: 1)]) == "c")
    }

    /// Takes every job, as the runner does.
    private func served(
        _ entries: [Entry],
        cost: (String) -> Double = { _ in 1 },
        loaded: String? = nil
    ) -> [String] {
        var (waiting, shares, loaded) = (entries, FairShare(), loaded)
        var served: [String] = []
        while let choice = QueueOrder.next(waiting, loaded: loaded, shares: shares) {
            if let index = waiting.firstIndex(where: { $0.id == choice.passedOver }) {
                let old = waiting[index]
                waiting[index] = Entry(
                    id: old.id,
                    number: old.number,
                    user: old.user,
                    priority: old.priority,
                    model: old.model,
                    passed: old.passed + 1
                )
            }
            guard let index = waiting.firstIndex(where: { $0.id == choice.id }) else { break }
            let job = waiting.remove(at: index)
            shares.charge(job.user, cost: cost(job.user))
            loaded = job.model
            served.append(job.id)
        }
        return served
    }

    /// The last of several slots is reserved for small pictures; all renders share one model.
    @Test func slotsKeepOneForSmallPictures() {
        typealias Taken = RenderSlots.Taken
        typealias Slot = RenderSlots.Slot
        let large = Taken(weights: "m", evaluations: 400, isSmall: false)
        let small = Taken(weights: "m", evaluations: 9, isSmall: true)
        #expect(RenderSlots.free(beside: [], count: 1) == Slot())
        #expect(RenderSlots.free(beside: [large], count: 1) == nil)
        #expect(RenderSlots.free(beside: [], count: 2) == Slot())
        #expect(RenderSlots.free(beside: [large], count: 2) == Slot(weights: "m", most: 100))
        #expect(RenderSlots.free(beside: [large, small], count: 2) == nil)
        // The large one ended before the small one.
        #expect(RenderSlots.free(beside: [small], count: 2) == Slot(weights: "m"))
        #expect(RenderSlots.free(beside: [large], count: 3) == Slot(weights: "m"))
        #expect(
            RenderSlots.free(beside: [large, large], count: 3) == Slot(weights: "m", most: 100)
        )
    }

    @Test func usersTakeTurns() {
        let many = (1...6).map { Entry(id: "a\($0)", number: Int64($0), user: "a") }
        let few = (7...8).map { Entry(id: "b\($0)", number: Int64($0), user: "b") }
        #expect(
            served(many + few) == ["a1", "b7", "a2", "b8", "a3", "a4", "a5", "a6"]
        )
    }

    @Test func turnsCountWhatJobsCost() {
        let large = (1...3).map { Entry(id: "a\($0)", number: Int64($0), user: "a") }
        let small = (4...9).map { Entry(id: "b\($0)", number: Int64($0), user: "b") }
        let order = served(large + small) { $0 == "a" ? 3 : 1 }
        // One large job for every three small ones.
        #expect(order == ["a1", "b4", "b5", "b6", "a2", "b7", "b8", "b9", "a3"])
    }

    @Test func absenceSavesUpNoTurns() {
        var shares = FairShare()
        for _ in 0..<10 { shares.charge("a", cost: 1) }
        shares.charge("b", cost: 1)
        let entries = [
            Entry(id: "a", number: 1, user: "a"), Entry(id: "b", number: 2, user: "b"),
        ]
        // The newcomer had one turn, so now it is the other user's.
        #expect(order(entries, shares) == "a")
        #expect(shares.ends.count <= 2)
    }

    @Test func jobsOfTheLoadedModelGoFirstAFewTimes() {
        let other = Entry(id: "other", number: 1, user: "u", model: "y")
        let same = (2...10).map { Entry(id: "\($0)", number: Int64($0), user: "u", model: "x") }
        let order = served([other] + same, loaded: "x")
        #expect(order.firstIndex(of: "other") == QueueOrder.maxPassed)
        #expect(Set(order).count == 10)
    }

    @Test func changesOfEveryState() {
        for state in JobState.allCases {
            for change in JobRequestedChange.allCases {
                switch change.effect(on: state) {
                case .becomes(let next): #expect(!state.isFinished && next != state)
                case .stopsRender(let next): #expect(state == .running && next != .running)
                case .none: break
                case .refused(let reason): #expect(state.isFinished && !reason.isEmpty)
                }
            }
        }
    }

    @Test func limitsNameThemselves() throws {
        var limits = ServiceLimits()
        (limits.pixels, limits.steps, limits.jobsPerUser, limits.jobs) = (100, 10, 2, 3)
        limits.evaluations = 50
        func name(_ body: () throws(LimitExceeded) -> Void) -> String? {
            do throws(LimitExceeded) { try body() } catch { return error.name }
            return nil
        }
        #expect(name { () throws(LimitExceeded) in try limits.check(width: 10, height: 10) } == nil)
        #expect(
            name { () throws(LimitExceeded) in try limits.check(width: 10, height: 11) } == "pixels"
        )
        #expect(
            name { () throws(LimitExceeded) in try limits.check(steps: 11, evaluations: 1) }
                == "steps"
        )
        #expect(
            name { () throws(LimitExceeded) in try limits.check(steps: 1, evaluations: 51) }
                == "evaluations"
        )
        #expect(
            name { () throws(LimitExceeded) in try limits.check(own: 2, all: 2) } == "jobs-per-user"
        )
        #expect(name { () throws(LimitExceeded) in try limits.check(own: 1, all: 3) } == "jobs")
        // Where there is no limit, nothing is counted.
        struct Counted: Error {}
        try limits.check(pixels: 1, queued: { throw Counted() }, stored: { throw Counted() })
        (limits.queuedPixelsPerUser, limits.storedBytesPerUser) = (100, 50)
        func fault(_ pixels: Int, _ queued: Int, _ stored: Int) -> LimitExceeded? {
            do {
                try limits.check(pixels: pixels, queued: { queued }, stored: { stored })
                return nil
            } catch { return error as? LimitExceeded }
        }
        #expect(fault(40, 60, 49) == nil)
        #expect(
            fault(40, 61, 0)
                == LimitExceeded("queued-pixels-per-user", limit: 100, found: 101, .later)
        )
        #expect(fault(101, 0, 0)?.kind == .request)
        #expect(
            fault(1, 0, 50) == LimitExceeded("stored-bytes-per-user", limit: 50, found: 50, .later)
        )
        var quota = UserQuota()
        (quota.pixels, quota.storedBytes) = (1, 2)
        let own = limits.limits(for: quota)
        #expect(own.pixels == 1 && own.storedBytesPerUser == 2 && own.steps == limits.steps)
        #expect(own.queuedPixelsPerUser == 100 && limits.limits(for: UserQuota()) == limits)
    }

    @Test func retentionByAgeAndSpace() {
        let entries = (1...4).map {
            Retention.Entry(id: "\($0)", finished: Double(100 * $0), bytes: $0 == 2 ? 0 : 10)
        }
        #expect(Retention().expired(entries, now: 1e9).isEmpty)
        #expect(Retention(age: 250).expired(entries, now: 500) == ["1", "2"])
        // A job without a picture frees no space.
        #expect(Retention(bytes: 20).expired(entries, now: 500) == ["1"])
        #expect(Retention(bytes: 5).expired(entries, now: 500) == ["1", "3", "4"])
    }

    @Test func retriesAreBounded() {
        var delay = RetryDelay()
        #expect((0..<8).map { _ in delay.next() } == [1, 2, 4, 8, 16, 32, 60, 60])
        delay.reset()
        #expect(delay.next() == 1)
    }

    @Test func onlyOwnPagesMaySendRequests() {
        func refusal(_ host: String?, _ origin: String? = nil, loopback: Bool = true) -> String? {
            BrowserGuard.refusal(host: host, origin: origin, isLoopback: loopback)
        }
        for host in ["localhost", "localhost:7860", "127.0.0.1:1", "127.9.9.9", "[::1]:7860"] {
            #expect(refusal(host) == nil, "\(host)")
            #expect(refusal(host, "http://\(host)") == nil)
            #expect(refusal(host, "http://evil.example") != nil)
        }
        for host in [
            nil, "", "evil.example", "127.0.0.1.evil.example", "127.evil", "10.0.0.1",
            "localhost.evil", "[::2]",
        ] {
            #expect(refusal(host) != nil, "\(host ?? "none")")
        }
        #expect(refusal("studio.example", loopback: false) == nil)
        #expect(refusal("studio.example", "null", loopback: false) != nil)
    }
}
