import Engine

/// Evaluates units of work, on a cluster or in this process.
///
/// All calls come from one thread, the render thread, and block it. The picture never depends on which worker
/// evaluated a unit, or when.
package protocol UnitRenderer: Sendable {
    /// Predicts views, decodes and encodes tiles. Where workers would wait for the end of a step, they may begin views of the
    /// next call.
    ///
    /// - Parameters:
    ///   - units: any number
    ///   - early: cuts views of the next step from predictions; nil for none
    ///   - onDone: called on this thread with the index in `units` of each unit when it is done, once each; an error it
    ///     throws ends the call
    /// - Returns: results in the order of the units
    /// - Throws: `RenderCancelled`, `ClusterUnavailable`, `UnitFailed`, or what `onDone` throws
    func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult]
}

extension UnitRenderer {
    /// The same where nothing can be begun early.
    package func evaluate(
        _ units: [WorkUnit],
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        var none: EarlyViews?
        return try evaluate(units, early: &none, onDone: onDone)
    }
}
