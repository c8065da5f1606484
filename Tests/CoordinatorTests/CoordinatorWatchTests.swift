import Fleet
import Testing

/// When a relay reports that its coordinator is silent, and that it answers again.
@Suite struct CoordinatorWatchTests {
    /// The first answer is reported, later ones only after trouble that was reported.
    @Test func answersAreToldAfterTrouble() {
        var watch = CoordinatorWatch()
        var told = [watch.heard(), watch.heard()]
        watch.note(trouble: "a proxy", isTold: true)
        #expect(watch.trouble == "a proxy")
        told += [watch.heard(), watch.heard()]
        #expect(watch.trouble == nil)
        // If the trouble was not reported, its end is not reported either.
        watch.note(trouble: "a proxy", isTold: false)
        told.append(watch.heard())
        #expect(told == [true, false, true, false, false])
    }

    @Test func silenceIsNoticedOnce() {
        var watch = CoordinatorWatch()
        _ = watch.heard()
        var found: [Int] = []
        for second in 0..<40 {
            watch.sent(at: .seconds(second))
            // Workers come and go while the coordinator is silent.
            guard watch.isFallingSilent(at: .seconds(second), hasWorkers: second % 3 > 0) else {
                continue
            }
            found.append(second)
            watch.note(trouble: "silence", isTold: true)
        }
        #expect(found == [10])
        let isTold = watch.heard()
        #expect(isTold)
    }

    /// When all workers have left, the wait for an answer is dropped. It starts again with the next worker.
    @Test func nothingIsAwaitedWithoutWorkers() {
        var watch = CoordinatorWatch()
        // The last message of the last worker.
        watch.sent(at: .seconds(0))
        var silent: [Int] = []
        for second in 1...60 {
            if second >= 40 { watch.sent(at: .seconds(second)) }
            if watch.isFallingSilent(at: .seconds(second), hasWorkers: second >= 40) {
                silent.append(second)
            }
        }
        #expect(silent.first == 49)
    }
}
