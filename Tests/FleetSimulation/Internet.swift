import Glibc

/// How workers come and go.
package struct Churn: Sendable {
    /// Mean time that a worker stays, in seconds.
    package var meanStay: Double
    /// Seconds until it comes back.
    package var absence: Double
    package var seed: UInt64

    package init(meanStay: Double, absence: Double, seed: UInt64 = 1) {
        (self.meanStay, self.absence, self.seed) = (meanStay, absence, seed)
    }

    /// Exponentially distributed: workers that have stayed long are as likely to leave as new ones.
    func stay(_ random: inout SimulationRandom) -> Double {
        -meanStay * log(1 - Double.random(in: 0..<1, using: &random))
    }
}

/// A small random number generator: SplitMix64.
package struct SimulationRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// One direction of a link, which all messages pass one after another.
struct SharedLink {
    private let bytesPerSecond: Double
    private var free = 0.0

    init(_ bytesPerSecond: Double) { self.bytesPerSecond = bytesPerSecond }

    /// - Returns: when the message is through
    mutating func pass(_ bytes: Double, at now: Double) -> Double {
        free = max(free, now) + bytes / bytesPerSecond
        return free
    }
}
