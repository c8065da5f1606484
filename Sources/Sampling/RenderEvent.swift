import Engine

/// Progress of a render.
package enum RenderEvent: Sendable {
    /// The render resumes; this many views were done before.
    case resumed(views: Int)
    /// A phase begins; its index from 0.
    case phase(Int, Phase)
    /// A step of the current phase begins, with its number of views.
    case step(Int, views: Int)
    /// One more view of the current step has arrived.
    case view
    /// A phase is finished; its latent, `[1, height, width, channels]`.
    case finished(Int, Tensor)
    /// A picture is encoded for a phase, in this many tiles: the init image, or an enlarged one.
    case encoding(tiles: Int)
    /// A finished phase is decoded, to be enlarged for the next one, in this many tiles.
    case enlarging(tiles: Int)
    /// A pass over all tiles begins that measures statistics of the whole picture.
    case measuring(tiles: Int)
    /// Decoding begins, with its number of tiles.
    case decoding(tiles: Int)
    /// One more tile has arrived.
    case tile
}
