import Protocol
import Synchronization
import Testing

@Suite struct BlockingQueueTests {
    @Test func elementsComeInOrderFromAnotherThread() {
        let queue = BlockingQueue<Int>()
        let thread = NamedThread("writer") { for number in 0..<1000 { queue.put(number) } }
        #expect((0..<1000).map { _ in queue.take() } == Array(0..<1000))
        thread.join()
    }

    @Test func aDeadlineEndsTheWait() {
        let queue = BlockingQueue<Int>()
        #expect(queue.take(before: .now - .seconds(5)) == nil)
        #expect(queue.take(before: .now + .milliseconds(20)) == nil)
        queue.put(3)
        // An item that is there is taken, even after the deadline.
        #expect(queue.take(before: .now - .seconds(5)) == 3)
    }

    /// A deadline beyond what the clock can express is the same as none.
    @Test func aVeryLongLimitWaits() {
        let queue = BlockingQueue<Int>()
        let thread = NamedThread("writer") { queue.put(7) }
        #expect(queue.take(before: .now + .seconds(Int64.max / 4)) == 7)
        thread.join()
    }

    @Test func allWaitersWakeUp() {
        let condition = MonotonicCondition()
        let isOpen = Atomic(false)
        let threads = (0..<4).map { _ in
            NamedThread("waiter") {
                condition.withLock {
                    while !isOpen.load(ordering: .relaxed) { condition.wait() }
                }
            }
        }
        condition.withLock {
            isOpen.store(true, ordering: .relaxed)
            condition.broadcast()
        }
        for thread in threads { thread.join() }
    }
}
