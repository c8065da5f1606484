/// Who computes one of the units that were requested together, for display.
package struct ViewAssignment: Equatable, Sendable {
    /// Index in the cluster's statistics of the worker that was asked last.
    package let worker: Int
    /// Whether the unit is done.
    package let isDone: Bool

    package init(worker: Int, isDone: Bool) { (self.worker, self.isDone) = (worker, isDone) }
}
