import Coordinator
import FleetSimulation
import Sampling
import TestSupport
import Testing

@Suite struct StepFlowTests {
    /// Windows of 8 pixels every 4, shifted a little.
    private func windows(_ side: Int, _ random: inout SplitMix) -> [Window] {
        (0..<side * side).map { index in
            Window(
                top: index / side * 4 + Int.random(in: -1...1, using: &random),
                left: index % side * 4 + Int.random(in: -1...1, using: &random),
                height: 8,
                width: 8
            )
        }
    }

    private func overlap(_ a: Window, _ b: Window) -> Bool {
        !Set(a.top..<a.top + a.height).isDisjoint(with: b.top..<b.top + b.height)
            && !Set(a.left..<a.left + a.width).isDisjoint(with: b.left..<b.left + b.width)
    }

    /// In whatever order views finish, each one is given out once, as soon as what it needs is done and not before.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func viewsBeginAsSoonAsWhatTheyNeedIsThere(seed: UInt64) {
        var random = SplitMix(seed)
        let steps = (0..<4).map { step in
            StepFlow.Step(
                windows: windows(5, &random),
                lattices: seed % 2 == 0 ? 4 : 0,
                isBarrier: seed % 3 == 0 && step == 1
            )
        }
        var flow = StepFlow(steps)
        var open = flow.begin()
        var (given, done) = (Set(open), Set<StepFlow.View>())
        func isReady(_ view: StepFlow.View) -> Bool {
            guard view.step > 0 else { return true }
            let before = steps[view.step - 1]
            return (0..<before.count).allSatisfy { index in
                if done.contains(.init(step: view.step - 1, index: index)) { return true }
                let (own, other) = (view.index - steps[view.step].lattices, index - before.lattices)
                return own >= 0 && other >= 0 && !before.isBarrier
                    && !overlap(steps[view.step].windows[own], before.windows[other])
            }
        }
        var wasEarly = false
        while !open.isEmpty {
            let view = open.remove(at: Int.random(in: open.indices, using: &random))
            done.insert(view)
            let next = flow.done(view)
            #expect(next.allSatisfy { given.insert($0).inserted })
            open += next
            wasEarly = wasEarly || next.contains { $0.step > (open + next).map(\.step).min() ?? 0 }
            let all = steps.indices.flatMap { step in
                (0..<steps[step].count).map { StepFlow.View(step: step, index: $0) }
            }
            #expect(Set(all.filter(isReady)) == given, "seed \(seed), after \(done.count)")
        }
        #expect(done.count == steps.reduce(0) { $0 + $1.count } && wasEarly)
    }

    @Test func withoutOverlapStepsAreOneByOne() {
        var random = SplitMix(1)
        let steps = (0..<3).map { _ in StepFlow.Step(windows: windows(4, &random), lattices: 2) }
        var flow = StepFlow(steps, overlaps: false)
        var open = flow.begin()
        for step in 0..<3 {
            #expect(open.map(\.step) == Array(repeating: step, count: 18))
            var next: [StepFlow.View] = []
            for view in open {
                #expect(next.isEmpty)
                next = flow.done(view)
            }
            open = next
        }
        #expect(open.isEmpty)
    }

    /// Workers that would wait at the end of a step begin the next one.
    @Test func overlappingStepsTakeLessTime() {
        var random = SplitMix(2)
        let members = (0..<40).map { _ in
            Fleet.Member(pace: Double.random(in: 1...3, using: &random))
        }
        let steps = (0..<4).map { _ in StepFlow.Step(windows: windows(10, &random), lattices: 16) }
        func time(overlaps: Bool) -> Double {
            var fleet = Fleet(members)
            _ = fleet.run(80)
            let result = fleet.run(StepFlow(steps, overlaps: overlaps))
            #expect(result.accepted == 4 * 116)
            return result.time
        }
        let (together, apart) = (time(overlaps: true), time(overlaps: false))
        #expect(together < 0.95 * apart, "\(together) against \(apart)")
    }
}
