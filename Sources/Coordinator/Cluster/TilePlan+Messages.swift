import Engine
import Protocol
import Sampling

extension TilePlan {
    /// Whether every tile, with what is sent to it and what it answers, fits into the protocol's frames.
    package var fitsMessages: Bool {
        guard !isWhole else { return true }
        let side = (Self.side + 2 * network.halo) * factor
        let pixels = 3 * side * side * MemoryLayout<Float>.size
        return network.fitsMessages && pixels <= FrameLimits().tensor
    }
}

extension TiledNetwork {
    /// Whether what is sent to tiles and what they answer fits into the protocol's frames.
    package var fitsMessages: Bool {
        let limits = FrameLimits()
        let moments = norms * groups * 2 * MemoryLayout<Double>.size
        let tokens = TilePlan.side * TilePlan.side * width * MemoryLayout<Float>.size
        return moments + 4096 <= limits.envelope && tokens <= limits.tensor
    }
}
