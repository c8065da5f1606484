import Engine
import Hummingbird

extension FrontDesk {
    /// A response with the file of a finished picture.
    ///
    /// - Throws: `APIError` if there is none
    func answer(pictureOf job: Job) async throws -> Response {
        guard job.state == .done else {
            throw APIError(
                .conflict,
                .conflict,
                "job \(job.id) has no picture: it is \(job.state.rawValue)"
            )
        }
        let path = folder.picture(of: job)
        let format = job.format
        var response = try await Blocking.run {
            try Response(file: path, type: format.contentType)
        }
        response.headers[.contentDisposition] =
            "inline; filename=\"\(job.id).\(format.rawValue)\""
        return response
    }
}
