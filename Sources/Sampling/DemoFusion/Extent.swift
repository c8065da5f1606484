/// Height and width of a picture or a latent.
package struct Extent: Hashable, Sendable, CustomStringConvertible {
    package var height: Int
    package var width: Int

    package init(height: Int, width: Int) {
        self.height = height
        self.width = width
    }

    package var area: Int { height * width }
    package var longSide: Int { max(height, width) }
    package var shortSide: Int { min(height, width) }

    /// Width before height, as picture sizes are usually written.
    package var description: String { "\(width)×\(height)" }
}
