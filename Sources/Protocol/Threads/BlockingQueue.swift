import Foundation

/// Passes elements from one thread to another, which waits on a condition variable: never use it on
/// Swift's cooperative pool.
///
/// `@unchecked Sendable`: `elements` is touched only under `condition`'s lock.
package final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
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

    /// Waits for the next element, up to a deadline.
    ///
    /// - Returns: nil at the deadline
    package func take(before deadline: Date) -> Element? {
        condition.withLock {
            while elements.isEmpty {
                guard condition.wait(until: deadline) else { break }
            }
            return elements.isEmpty ? nil : elements.removeFirst()
        }
    }
}
