import Engine

/// Evaluates units of work, on a cluster or in this process.
///
/// All calls come from one thread, the render thread, and block it. The picture never depends on which worker evaluated
/// a unit, or when.
package protocol UnitRenderer: Sendable {
    /// Predicts views, and decodes and encodes tiles. Workers that would idle at the end of a step may start on views
    /// of the next call.
    ///
    /// - Parameters:
    ///   - units: any number
    ///   - early: cuts views of the next step as predictions arrive; nil for none
    ///   - onDone: called on this thread, once per finished unit, with its index in `units`; an error that it throws
    ///     ends the call
    /// - Returns: results in the order of the units
    /// - Throws: `RenderCancelled`, `ClusterUnavailable`, `UnitFailed`, or what `onDone` throws
    func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult]
}

extension UnitRenderer {
    /// The same without early views.
    package func evaluate(
        _ units: [WorkUnit],
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        var none: EarlyViews?
        return try evaluate(units, early: &none, onDone: onDone)
    }
}
