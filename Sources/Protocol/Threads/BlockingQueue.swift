/// Passes elements from one thread to another, which waits on a condition variable: never use it on Swift's cooperative
/// thread pool.
///
/// `@unchecked Sendable`: `elements` is accessed only while holding `condition`'s lock. A `Mutex` has no condition
/// variable to wait on.
package final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = MonotonicCondition()
    private var elements: [Element] = []

    package init() {}

    package func put(_ element: Element) {
        condition.withLock {
            elements.append(element)
            condition.signal()
        }
    }

    /// Waits for the next element.
    package func take() -> Element {
        condition.withLock {
            while elements.isEmpty { condition.wait() }
            return elements.removeFirst()
        }
    }

    /// Returns what is there now, without waiting.
    package func takeAll() -> [Element] {
        condition.withLock {
            defer { elements = [] }
            return elements
        }
    }

    /// Waits for the next element, up to a deadline. Changes of the wall clock do not matter.
    ///
    /// - Returns: nil if the deadline has passed
    package func take(before deadline: ContinuousClock.Instant) -> Element? {
        condition.withLock {
            while elements.isEmpty {
                guard condition.wait(within: ContinuousClock.now.duration(to: deadline)) else {
                    break
                }
            }
            return elements.isEmpty ? nil : elements.removeFirst()
        }
    }
}
