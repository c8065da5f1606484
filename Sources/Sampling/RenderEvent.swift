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
    /// Where the views of the step that has begun lie.
    case places(ViewPlaces)
    /// The predictions of a step are fused.
    case predicted(CleanEstimate)
    /// A phase is finished; its latent, `[1, height, width, channels]`.
    case finished(Int, Tensor)
    /// A picture is to be encoded for a phase, in this many tiles: the init image, or an enlarged one.
    case encoding(tiles: Int)
    /// A finished phase is to be decoded, and enlarged for the next one, in this many tiles.
    case enlarging(tiles: Int)
    /// A latent is to be decoded, in this many tiles.
    case decoding(tiles: Int)
    /// Of any of these: a pass over all tiles begins that measures statistics of the whole picture.
    case measuring(tiles: Int)
    /// The statistics are known, and the pass over all tiles begins that computes the result. Not reported where
    /// there is one tile.
    case finalPass(tiles: Int)
    /// One more tile has arrived.
    case tile
}
