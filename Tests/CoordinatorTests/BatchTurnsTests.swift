import Coordinator
import Testing

/// Renders that share a cluster, with a simulated clock and no threads.
@Suite struct BatchTurnsTests {
    /// Jobs whose batches take a fixed time each, with a short pause between batches.
    private struct Simulation {
        struct Work {
            let seconds: Double
            let between: Double
            var left: Int
            /// When its next batch is submitted, in seconds; nil while a batch waits or runs, and when the job is done.
            var nextAt: Double? = 0
        }

        var turns = BatchTurns()
        var works: [UInt64: Work] = [:]
        var order: [UInt64] = []
        var ends: [UInt64: Double] = [:]
        var idle = 0.0

        mutating func add(_ job: UInt64, _ work: Work, priority: Int = 0) {
            turns.open(job, weight: BatchTurns.weight(priority: priority))
            works[job] = work
        }

        mutating func run() {
            var now = 0.0
            while true {
                for (job, work) in works.sorted(by: { $0.key < $1.key }) {
                    guard let at = work.nextAt, at <= now else { continue }
                    works[job]?.nextAt = nil
                    turns.submit(job)
                }
                switch turns.next(at: .seconds(now)) {
                case .begin(let job):
                    guard var work = works[job] else { return }
                    order.append(job)
                    now += work.seconds
                    turns.ended(at: .seconds(now))
                    work.left -= 1
                    work.nextAt = work.left > 0 ? now + work.between : nil
                    works[job] = work
                    if work.left == 0 {
                        turns.close(job)
                        ends[job] = now
                    }
                case .wait(let until):
                    let end = min(until / .seconds(1), nextArrival ?? .infinity)
                    idle += max(0, end - now)
                    now = max(end, now + 1e-9)
                case .none:
                    guard let next = nextArrival else { return }
                    idle += max(0, next - now)
                    now = max(now, next)
                }
            }
        }

        private var nextArrival: Double? { works.values.compactMap(\.nextAt).min() }
    }

    /// The twenty steps of a small picture fit between two of a large one.
    @Test func aSmallPictureDoesNotWaitForALargeOne() {
        var simulation = Simulation()
        simulation.add(1, .init(seconds: 100, between: 0.1, left: 5))
        simulation.add(2, .init(seconds: 0.5, between: 0.05, left: 20, nextAt: 50))
        simulation.run()
        #expect(
            simulation.order.prefix(1) == [1] && simulation.order[1...20].allSatisfy { $0 == 2 }
        )
        #expect((simulation.ends[2] ?? 0) < 115)
        // By waiting, the large one lost only a few percent of a step.
        #expect(simulation.idle < 5)
    }

    /// Equal jobs alternate, and hardly wait for each other.
    @Test func equalsAlternate() {
        var simulation = Simulation()
        for job in [1, 2] as [UInt64] {
            simulation.add(job, .init(seconds: 1, between: 0.001, left: 50))
        }
        simulation.run()
        for pair in stride(from: 0, to: 98, by: 2) {
            #expect(Set(simulation.order[pair...pair + 1]) == [1, 2])
        }
        #expect(simulation.idle < 0.2)
    }

    /// Nobody starves: whatever the weights, a job's batch waits at most for the others' share of its own last batch,
    /// plus one more batch.
    @Test func weightsShareAndNobodyStarves() {
        var simulation = Simulation()
        simulation.add(1, .init(seconds: 1, between: 0, left: 400), priority: 20)
        simulation.add(2, .init(seconds: 1, between: 0, left: 400), priority: 0)
        simulation.run()
        let first = simulation.order.prefix(300)
        #expect(abs(first.count(where: { $0 == 1 }) - 240) <= 2)
        let places = first.indices.filter { first[$0] == 2 }
        #expect(zip(places, places.dropFirst()).allSatisfy { $1 - $0 <= 6 })
    }

    @Test func weightsGrowWithPriority() {
        let weights = (-100...100).map { BatchTurns.weight(priority: $0) }
        #expect(zip(weights, weights.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(BatchTurns.weight(priority: 0) == 1 && BatchTurns.weight(priority: 10) == 2)
        #expect(weights.first == 1.0 / 16 && weights.last == 16)
    }

    /// A job without a batch holds the others up only for a moment, and a job that has ended not at all.
    @Test func nobodyWaitsForLong() {
        var turns = BatchTurns()
        for job in [1, 2] as [UInt64] {
            turns.open(job, weight: 1)
            turns.submit(job)
        }
        #expect(turns.next(at: .zero) == .begin(job: 1))
        turns.ended(at: .seconds(10))
        turns.submit(1)
        #expect(turns.next(at: .seconds(10)) == .begin(job: 2))
        turns.ended(at: .seconds(11))
        // The second job had one second, the first one ten: the first one's batch waits for a fiftieth of those ten.
        let choice = turns.next(at: .seconds(11))
        guard case .wait(let until) = choice else {
            Issue.record("\(choice)")
            return
        }
        #expect(abs(until / .seconds(1) - 11.2) < 1e-6)
        #expect(turns.isHolding)
        var ended = turns
        ended.close(2)
        #expect(ended.next(at: .seconds(11)) == .begin(job: 1))
        #expect(turns.next(at: until) == .begin(job: 1))
        turns.close(1)
        #expect(turns.next(at: .seconds(12)) == .none && !turns.isHolding)
    }

    @Test func aJobsWeightChangesFromItsNextBatchOn() {
        var turns = BatchTurns()
        for job in 1...2 {
            turns.open(UInt64(job), weight: 1)
            turns.submit(UInt64(job))
        }
        var order: [UInt64] = []
        for second in 0..<40 {
            if second == 20 { turns.weigh(2, 4) }
            guard case .begin(let job) = turns.next(at: .seconds(second)) else { break }
            order.append(job)
            turns.ended(at: .seconds(second + 1))
            turns.submit(job)
        }
        #expect(order.count == 40)
        #expect(order.prefix(20).count { $0 == 2 } == 10)
        #expect((15...17).contains(order.suffix(20).count { $0 == 2 }), "\(order)")
    }

    /// A job whose steps formed one long batch waits for a newcomer no longer than its last step alone would justify.
    @Test func stepsOfOneBatchCountEach() {
        var turns = BatchTurns()
        turns.open(1, weight: 1)
        turns.submit(1)
        #expect(turns.next(at: .zero) == .begin(job: 1))
        for second in 1..<100 { turns.goOn(at: .seconds(second)) }
        turns.open(2, weight: 1)
        turns.submit(2)
        turns.submit(1)
        turns.ended(at: .seconds(100))
        var order: [UInt64] = []
        for second in 100..<104 {
            guard case .begin(let job) = turns.next(at: .seconds(second)) else { break }
            order.append(job)
            turns.ended(at: .seconds(second + 1))
            turns.submit(job)
        }
        #expect(order == [2, 1, 2, 1])
    }
}
