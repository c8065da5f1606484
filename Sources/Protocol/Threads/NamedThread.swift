import Foundation

/// A joinable thread with a name.
package final class NamedThread: Sendable {
    private let ended = BlockingQueue<Void>()

    /// Starts the thread. Tools such as `top -H` show `name`: at most 15 bytes.
    package init(_ name: String, stack: Int = 8 << 20, _ body: @escaping @Sendable () -> Void) {
        precondition(name.utf8.count <= 15, name)
        let ended = ended
        let thread = Thread {
            body()
            ended.put(())
        }
        thread.name = name
        thread.stackSize = stack
        thread.start()
    }

    /// Waits for the thread to end. Call once.
    package func join() { ended.take() }
}
