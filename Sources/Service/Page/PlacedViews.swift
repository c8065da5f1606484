import Coordinator
import Engine
import Sampling

/// The views of a render's current step, with their assigned workers, and the number of the latest estimate of the
/// picture. Pure.
package struct PlacedViews: Equatable, Sendable {
    private let places: ViewPlaces
    private let assignments: [Int: ViewAssignment]
    /// Number of estimates of the picture so far.
    private let estimate: Int

    /// Maximum number of views reported, so that a response stays small for any size of picture.
    package static let limit = 2000

    package init(
        _ places: ViewPlaces?,
        _ assignments: [Int: ViewAssignment] = [:],
        estimate: Int = 0
    ) {
        self.places = places ?? ViewPlaces(latent: Extent(height: 0, width: 0), places: [])
        self.assignments = places == nil ? [:] : assignments
        self.estimate = estimate
    }

    private func numbers(_ place: [Int], _ index: Int) -> JSON {
        let assignment = assignments[index]
        let state = assignment.map { $0.isDone ? 2 : 1 } ?? 0
        return .array((place + [assignment?.worker ?? -1, state]).map(JSON.count))
    }

    package var json: JSON {
        var (windows, lattices): ([JSON], [JSON]) = ([], [])
        for (index, place) in places.places.prefix(Self.limit).enumerated() {
            switch place {
            case .window(let top, let left, let height, let width):
                windows.append(numbers([top, left, height, width], index))
            case .lattice(let row, let column, let rowStride, let columnStride):
                lattices.append(numbers([row, column, rowStride, columnStride], index))
            case .whole: break
            }
        }
        return .object([
            "width": .count(places.latent.width), "height": .count(places.latent.height),
            "windows": .array(windows), "lattices": .array(lattices),
            "estimate": .count(estimate),
        ])
    }

    static var schema: JSON {
        func rows(_ help: String) -> JSON {
            Schema.array(.array(.integer)).described(
                help
                    + ", index of the worker that was asked (−1: none), and 0 for waiting, 1 for asked, 2 for answered."
            )
        }
        return .object([
            "type": .string("object"),
            "required": .array(
                ["estimate", "height", "lattices", "width", "windows"].map(JSON.string)
            ),
            "properties": .object([
                "width": Schema.integer.described("Of the phase's latent."),
                "height": Schema.integer.described("Of the phase's latent."),
                "windows": rows("Top, left, height and width of each window"),
                "lattices": rows("First row, first column, row stride and column stride of each"),
                "estimate": Schema.integer.described(
                    "Counts the estimates of the picture: with a new one the preview is another. 0 before the first."
                ),
            ]),
        ])
    }
}
