import Engine
import Sampling

/// A renderer that answers one unit after the other, in its caller's thread, and begins nothing early.
package protocol UnitByUnit: UnitRenderer {
    /// - Parameters:
    ///   - unit: of a call
    ///   - place: its index there
    /// - Returns: its result
    /// - Throws: what ends the call
    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult
}

extension UnitByUnit {
    package func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        try units.enumerated().map { place, unit in
            let result = try result(of: unit, at: place)
            try onDone(place)
            return result
        }
    }
}
